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
import { checkConsistency, describeRecord, hasCheckImage, redoBlock } from '@zenith/redo';
import {
  PageClient,
  PageError,
  PostgresClient,
  decodeWalSenderMessage,
  encodeStatusUpdate,
  walSenderMessage,
} from '@zenith/wire';

/** Where the WAL and the pages of one timeline are. */
export interface OracleSource {
  readonly major: PgMajor;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly safekeeperPort: number;
  readonly pageserverPort: number;
}

/** What the oracle saw. */
export interface OracleReport {
  /** Record type → how often it was seen, blocks compared, and blocks that differed. */
  readonly types: ReadonlyMap<string, { records: number; compared: number }>;
  /** One line for each block that was not what PostgreSQL's own image of it says. */
  readonly mismatches: readonly string[];
  readonly compared: number;
}

/** At most so many mismatches are described; one is a failure already. */
const MISMATCHES_MAX = 20;

/**
 * Reads the WAL of a timeline from `start` to `end` as a safekeeper serves it, redoes every block of every record, each alone, and compares it with the image that a compute under
 * `wal_consistency_checking=all` put in the record. Pages as they were before come from the pageserver.
 */
export async function checkRedo(source: OracleSource, start: Lsn, end: Lsn): Promise<OracleReport> {
  const types = new Map<string, { records: number; compared: number }>();
  const mismatches: string[] = [];
  let compared = 0;
  const pages = new Map<string, Page>();
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

  async function redoRecord(): Promise<void> {
    const type = describeRecord(source.major, record).split(' ')[0] ?? '';
    const counts = types.get(type) ?? { records: 0, compared: 0 };
    types.set(type, counts);
    counts.records++;
    for (let i = 0; i < record.blockCount; i++) {
      const block = record.blocks[i];
      if (block === undefined || !block.inUse || block.fork === FSM_FORKNUM) continue; // the free-space map is not kept
      const key = `${block.spc}/${block.db}/${block.rel}/${block.fork}/${block.block}`;
      // Bits of the visibility map are cleared by records that do not register its pages: the pageserver knows, this map does not.
      let page = block.fork === VISIBILITYMAP_FORKNUM ? undefined : known(key, block.willInit || block.applyImage);
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
      if (difference !== undefined && mismatches.length < MISMATCHES_MAX) {
        mismatches.push(
          `${formatLsn(record.lsn)} ${describeRecord(source.major, record)} block ${key}: byte ${difference.offset} is ${difference.actual}, PostgreSQL has ${difference.expected}`,
        );
      }
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
      while (decoder.position < end && decoder.next(record)) await redoRecord();
      if (decoder.end !== undefined)
        throw new Error(`the WAL ends at ${formatLsn(decoder.end.lsn)}: ${decoder.end.message}`);
    }
  } finally {
    clearInterval(heartbeat);
    walClient.close();
    pageClient.close();
  }
  return { types, mismatches, compared };
}
