import { formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import {
  FSM_FORKNUM,
  VISIBILITYMAP_FORKNUM,
  WalRecord,
  WalStreamDecoder,
  allocatePage,
  type BlockReference,
  type Page,
  type PgMajor,
} from '@zenith/pg-format';
import { checkConsistency, describeRecord, hasCheckImage, recordName, redoBlock } from '@zenith/redo';
import {
  PageClient,
  PageError,
  PostgresClient,
  decodeWalSenderMessage,
  encodeStatusUpdate,
  walSenderMessage,
} from '@zenith/wire';
import { explainByte } from './explain-byte.ts';
import { PageCache } from './page-cache.ts';

/** Where the WAL and the pages of one timeline are. */
export interface OracleSource {
  readonly major: PgMajor;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly safekeeperPort: number;
  readonly pageserverPort: number;
}

/** What the oracle saw of one kind of records. */
export interface TypeCounts {
  records: number;
  /** Blocks compared with the image that PostgreSQL put into the record. */
  compared: number;
  mismatches: number;
}

/** What the oracle saw. */
export interface OracleReport {
  /** Kind of records, as `recordName()` gives it → what was seen of it. */
  readonly types: ReadonlyMap<string, TypeCounts>;
  /** One line for each block that was not what PostgreSQL's own image of it says. */
  readonly mismatches: readonly string[];
  readonly mismatchCount: number;
  readonly compared: number;
}

/** So many pages are kept; others come back from the pageserver when they are needed again. */
const PAGES_KEPT = 20_000;

/** At most so many mismatches are described; one is a failure already. */
const MISMATCHES_MAX = 20;

/**
 * Reads the WAL of a timeline from `start` to `end` as a safekeeper serves it, redoes every block of every record, each alone, and compares it with the image that a compute under
 * `wal_consistency_checking=all` put in the record. Pages as they were before come from the pageserver.
 */
export async function checkRedo(
  source: OracleSource,
  start: Lsn,
  end: Lsn,
  onProgress: (position: Lsn) => void = () => undefined,
): Promise<OracleReport> {
  const types = new Map<string, TypeCounts>();
  const countsOfKind: TypeCounts[] = []; // by rmid and the high bits of info
  const mismatches: string[] = [];
  let mismatchCount = 0;
  let compared = 0;
  const pages = new PageCache(PAGES_KEPT);
  const pageClient = await PageClient.connect({
    address: { kind: 'tcp', host: '127.0.0.1', port: source.pageserverPort },
    tenant: source.tenant,
    timeline: source.timeline,
    timeoutMs: 60_000,
  });
  const walClient = await PostgresClient.connect({
    host: '127.0.0.1',
    port: source.safekeeperPort,
    parameters: {
      user: 'oracle',
      replication: 'true',
      options: `-c zenith.tenant=${source.tenant} -c zenith.timeline=${source.timeline}`,
    },
    timeoutMs: 10_000,
  });
  const record = new WalRecord();
  const decoder = new WalStreamDecoder(source.major, start);

  /** The page before this record, or undefined when it has to be fetched first. */
  function known(key: string, fresh: boolean): Page | undefined {
    const page = pages.get(key);
    if (page !== undefined || !fresh) return page;
    const zeroes = allocatePage();
    pages.set(key, zeroes);
    return zeroes;
  }

  /** A page as it was at `lsn`; zeroes for one of the visibility map that nothing was logged of yet. PG: vm_readbuf(), RBM_ZERO_ON_ERROR. */
  async function pageBefore(block: BlockReference, lsn: Lsn): Promise<Uint8Array> {
    try {
      return await pageClient.getPages(block, block.block, 1, lsn);
    } catch (error) {
      if (error instanceof PageError && error.code === 'no-such-block' && block.fork === VISIBILITYMAP_FORKNUM)
        return allocatePage().bytes;
      throw error;
    }
  }

  function countsOf(): TypeCounts {
    const kind = (record.rmid << 4) | (record.info >> 4);
    const known = countsOfKind[kind];
    if (known !== undefined) return known;
    const name = recordName(source.major, record);
    const counts = types.get(name) ?? { records: 0, compared: 0, mismatches: 0 };
    types.set(name, counts);
    countsOfKind[kind] = counts;
    return counts;
  }

  async function redoRecord(): Promise<void> {
    const counts = countsOf();
    counts.records++;
    for (let i = 0; i < record.blockCount; i++) {
      const block = record.blocks[i];
      if (block === undefined || !block.inUse || block.fork === FSM_FORKNUM) continue; // the free-space map is not kept
      const key = `${block.spc}/${block.db}/${block.rel}/${block.fork}/${block.block}`;
      // Records that clear bits of the visibility map do not register its pages, so that those held here have bits too many. The heap's mask hides the bits; the comparison of the whole cluster looks at them.
      let page = known(key, block.willInit || block.applyImage);
      if (page === undefined) {
        page = allocatePage();
        if (!block.willInit && !block.applyImage) page.bytes.set(await pageBefore(block, record.lsn));
        pages.set(key, page);
      }
      redoBlock(source.major, record, i, page);
      if (!hasCheckImage(source.major, record, i)) continue;
      compared++;
      counts.compared++;
      const difference = checkConsistency(source.major, record, i, page);
      if (difference === undefined) continue;
      counts.mismatches++;
      mismatchCount++;
      if (mismatches.length < MISMATCHES_MAX)
        mismatches.push(
          `${formatLsn(record.lsn)} ${describeRecord(source.major, record)} block ${key}: byte ${difference.offset} (${explainByte(page, record.rmid, difference.offset)}) is 0x${difference.actual.toString(16)}, PostgreSQL has 0x${difference.expected.toString(16)}`,
        );
    }
  }

  let heartbeat: NodeJS.Timeout | undefined;
  try {
    const message = walSenderMessage();
    const chunks: Uint8Array[] = [];
    let wake: () => void = () => undefined;
    const stream = await walClient.copyBoth(
      `START_REPLICATION PHYSICAL ${formatLsn(start)}`,
      (bytes, view, offset, length) => {
        decodeWalSenderMessage(view, offset, length, message);
        if (message.kind !== 'xlog-data') return;
        chunks.push(bytes.slice(message.walOffset, message.walOffset + message.walLength));
        if (chunks.length > 64) stream.pause();
        wake();
      },
    );
    const alive = (): boolean =>
      stream.send(encodeStatusUpdate({ written: start, flushed: start, applied: start }, false, Date.now()));
    heartbeat = setInterval(alive, 5_000);
    const lost = walClient.closed.then((error) => {
      throw error ?? new Error('the safekeeper ended the stream');
    });
    lost.catch(() => undefined); // raced below; after the loop the connection is closed on purpose
    while (decoder.position < end) {
      const chunk = chunks.shift();
      if (chunk === undefined) {
        stream.resume();
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (chunks.length === 0) await Promise.race([more, lost]);
        continue;
      }
      decoder.push(chunk);
      onProgress(decoder.position);
      while (decoder.position < end && decoder.next(record)) await redoRecord();
      if (decoder.end !== undefined)
        throw new Error(`the WAL ends at ${formatLsn(decoder.end.lsn)}: ${decoder.end.message}`);
    }
  } finally {
    clearInterval(heartbeat);
    walClient.close();
    pageClient.close();
  }
  return { types, mismatches, mismatchCount, compared };
}
