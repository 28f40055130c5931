import type { Tokens } from '@zenith/auth';
import { formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { committedWal, type AcceptorControl, type Term } from '@zenith/consensus';
import type { Logger } from 'pino';
import { SafekeeperError } from '../errors.ts';
import type { TimelineContent } from '../timeline/make-timeline.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { WalWriter } from '../wal-storage/wal-writer.ts';
import { openDonorWal, readDonorControl, type DonorAddress } from './donor.ts';
import type { WalSource } from './peer.ts';

/** While a timeline is copied its WAL goes on; a copy so close to the end is done, the leader brings the rest. Unit: bytes. */
const LAG_MAX = 16 * 1024 * 1024;

/** A donor whose WAL grows as fast as it is copied is caught up with so many times. */
const ROUNDS_MAX = 16;

/** Copied WAL is made durable, and its files closed, each time so much of it was written. Unit: bytes. */
const SYNC_LENGTH = 64 * 1024 * 1024;

/**
 * Copies a timeline from the one of `donors` that has most of its committed WAL; nothing to do when WAL of it is here. Only what is committed is copied, with the donor's history of it: as an acceptor this safekeeper then is one
 * that followed so far and has promised nothing that the donor has not. It takes part once it is a member of a configuration.
 * @returns undefined when no donor knows the timeline
 * @throws SafekeeperError `peer-unavailable`, `timeline-refused`, `timeline-broken`
 */
export async function pullTimeline(
  registry: TimelineRegistry,
  donors: readonly DonorAddress[],
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
  log: Logger,
): Promise<Timeline | undefined> {
  const here = registry.find(tenant, timeline);
  if (here !== undefined && here.flushLsn > here.identity.timelineStartLsn) return here;
  const best = await furthest(donors, tokens, tenant, timeline);
  if (best === undefined || (here !== undefined && best.control.commitLsn <= here.flushLsn)) return here;
  log.info({ tenant, timeline, donor: best.donor.id, lsn: formatLsn(best.control.commitLsn) }, 'pulling a timeline');
  if (here === undefined) return registry.add(contentFrom(best.donor, tokens, best.control, 0));
  // An election has made it here after its WAL was lost: what was promised then holds.
  await registry.discardEmpty(here);
  return registry.add(contentFrom(best.donor, tokens, best.control, here.term));
}

async function furthest(
  donors: readonly DonorAddress[],
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
): Promise<{ donor: DonorAddress; control: AcceptorControl } | undefined> {
  const asked = await Promise.allSettled(donors.map((donor) => readDonorControl(donor, tokens, tenant, timeline)));
  let best: { donor: DonorAddress; control: AcceptorControl } | undefined;
  for (const [i, answer] of asked.entries()) {
    const donor = donors[i];
    if (answer.status === 'rejected' || answer.value === undefined || donor === undefined) continue;
    if (best === undefined || answer.value.commitLsn > best.control.commitLsn) best = { donor, control: answer.value };
  }
  const failure = asked.find((answer) => answer.status === 'rejected');
  if (best === undefined && failure !== undefined) throw failure.reason;
  return best;
}

/** @param term no term below it is voted in again */
function contentFrom(donor: DonorAddress, tokens: Tokens, first: AcceptorControl, term: Term): TimelineContent {
  const { identity, localStartLsn } = first;
  const { tenant, timeline } = identity;
  return {
    identity,
    localStartLsn,
    async write(writer) {
      let control = first;
      const source = await openDonorWal(donor, tokens, tenant, timeline, localStartLsn);
      const copy = new WalCopy(writer, source);
      try {
        for (let round = 0; round < ROUNDS_MAX; round++) {
          await copy.upTo(control.commitLsn);
          const now = await readDonorControl(donor, tokens, tenant, timeline);
          if (now === undefined)
            throw new SafekeeperError('peer-unavailable', `safekeeper ${donor.id} has lost the timeline`);
          if (now.commitLsn - control.commitLsn <= LAG_MAX) break;
          control = now;
        }
      } finally {
        source.close();
      }
      const { commitLsn, history } = committedWal(control);
      return {
        ...control,
        term: Math.max(control.term, term),
        history,
        localStartLsn,
        peerHorizonLsn: smaller(control.peerHorizonLsn, commitLsn),
        pendingTruncationLsn: null,
      };
    },
  };
}

function smaller(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

/** Copies WAL from a donor's stream. */
class WalCopy {
  readonly #writer: WalWriter;
  readonly #source: WalSource;
  /** Read, and beyond what was to be copied so far. */
  #rest: Uint8Array = new Uint8Array(0);
  #unsyncedLength = 0;

  constructor(writer: WalWriter, source: WalSource) {
    this.#writer = writer;
    this.#source = source;
  }

  /** @throws what the stream throws when it ends before */
  async upTo(end: Lsn): Promise<void> {
    while (this.#writer.writeLsn < end) {
      if (this.#rest.length === 0) this.#rest = await this.#source.next();
      const bytes = this.#rest.subarray(0, end - this.#writer.writeLsn);
      this.#rest = this.#rest.subarray(bytes.length);
      this.#writer.append(bytes);
      this.#unsyncedLength += bytes.length;
      if (this.#unsyncedLength < SYNC_LENGTH) continue;
      this.#unsyncedLength = 0;
      await this.#writer.sync();
    }
  }
}
