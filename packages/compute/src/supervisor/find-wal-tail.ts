import { tokensOf } from '@zenith/auth';
import { formatLsn, type Lsn, type TimelineId } from '@zenith/base';
import type { Term } from '@zenith/consensus';
import { readWalTail, type WalTail } from '../data-directory/wal-tail.ts';
import { messageOf } from '../errors.ts';
import type { SafekeeperAddress } from '../wal-proposer/safekeeper-address.ts';
import { readSafekeeperWal, type SafekeeperWalSource } from '../wal-proposer/safekeeper-wal-reader.ts';
import type { ProposerLog } from '../wal-proposer/wal-proposer.ts';
import type { ComputeConfig } from './config.ts';

/** For which start the tail is wanted. */
export interface FindWalTailOptions {
  readonly config: ComputeConfig;
  readonly segmentSize: number;
  readonly startLsn: Lsn;
  /** The safekeeper of the election, which has everything before `startLsn`, and the term in which it shows that. */
  readonly donor: SafekeeperAddress;
  readonly term: Term;
  readonly log: ProposerLog;
}

/**
 * The end of the WAL before X. Where the timeline has WAL of its own it must be had, since whoever decodes across X checks that the record at X names the one before. Where X is the timeline's
 * beginning it is a courtesy: the ancestors' safekeepers are asked, and undefined is an answer.
 * @throws what reading from the donor throws; nothing where X is the timeline's beginning
 */
export async function findWalTail({
  config,
  segmentSize,
  startLsn,
  donor,
  term,
  log,
}: FindWalTailOptions): Promise<WalTail | undefined> {
  const { tenant, timeline, ancestors } = config;
  const { major } = config.postgres;
  if (startLsn > config.startLsn) {
    const source: SafekeeperWalSource = { address: donor, tenant, timeline, tokens: tokensOf(config), term };
    return readWalTail({
      major,
      segmentSize,
      endLsn: startLsn,
      floorLsn: config.startLsn,
      read: (from, to) => readSafekeeperWal(source, from, to),
    });
  }
  const ancestor = ancestors.find((candidate) => candidate.startLsn < startLsn);
  if (ancestor === undefined) return undefined;
  try {
    return await readWalTail({
      major,
      segmentSize,
      endLsn: startLsn,
      floorLsn: ancestor.startLsn,
      read: (from, to) => readFromAny(config, ancestor.timeline, from, to),
    });
  } catch (error) {
    log.warn(
      { ancestor: ancestor.timeline, lsn: formatLsn(startLsn), reason: messageOf(error) },
      'the WAL before the branch point cannot be read: its page begins with zeroes here',
    );
    return undefined;
  }
}

/** Committed WAL of another timeline from the first safekeeper that has it. */
async function readFromAny(config: ComputeConfig, timeline: TimelineId, from: Lsn, to: Lsn): Promise<Uint8Array> {
  let failure: unknown;
  const { tenant } = config;
  const tokens = tokensOf(config);
  for (const address of config.safekeepers) {
    try {
      return await readSafekeeperWal({ address, tenant, timeline, tokens }, from, to);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
