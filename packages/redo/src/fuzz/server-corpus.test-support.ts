import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BlockSpec, PgMajor, RecordSpec, WalRecord } from '@zenith/pg-format';
import { StockPostgres, temporaryDirectory } from '@zenith/testing';
import type { GalleryItem } from '../gallery-item.test-support.ts';
import { describeRecord, recordName } from '../index.ts';
import { WalReplay, copyDataDirectory } from '../oracle.test-support.ts';
import { runWorkload } from '../workload.test-support.ts';

const XLR_CHECK_CONSISTENCY = 0x02;
/** Items of one kind of record and block: enough to have its forms, few enough to keep the rare kinds from drowning. */
const ITEMS_OF_A_KIND = 12;

/** The record without its images. */
function specOf(record: WalRecord): RecordSpec {
  const blocks: BlockSpec[] = [];
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id];
    if (block === undefined || !block.inUse) continue;
    const { spc, db, rel, fork, block: number, willInit, dataOffset, dataLength } = block;
    const data = record.bytes.slice(dataOffset, dataOffset + dataLength);
    blocks.push({ id, spc, db, rel, fork, block: number, willInit, ...(dataLength > 0 ? { data } : {}) });
  }
  return {
    rmid: record.rmid,
    info: record.info & ~XLR_CHECK_CONSISTENCY,
    xid: record.xid,
    mainData: record.bytes.slice(record.mainDataOffset, record.mainDataOffset + record.mainDataLength),
    blocks,
  };
}

class CollectingReplay extends WalReplay {
  readonly items: GalleryItem[] = [];
  readonly #counts = new Map<string, number>();

  override apply(record: WalRecord): void {
    for (let id = 0; id < record.blockCount; id++) {
      const block = record.blocks[id];
      if (block === undefined || !block.inUse || (block.hasImage && block.applyImage)) continue;
      const kind = `${recordName(this.major, record)} ${id}`;
      const count = this.#counts.get(kind) ?? 0;
      if (count >= ITEMS_OF_A_KIND) continue;
      this.#counts.set(kind, count + 1);
      const { page } = this.pageOf(block.spc, block.db, block.rel, block.fork, block.block);
      this.items.push({
        name: `${describeRecord(this.major, record)}, block ${id}`,
        spec: specOf(record),
        blockIndex: id,
        page: page.bytes.slice(),
        major: this.major,
      });
    }
    super.apply(record);
  }
}

/**
 * Records that a stock server wrote, each with the page as it was before it: some of every kind that the workload of the consistency test makes.
 * @throws Error when redo of the workload itself fails
 */
export async function serverCorpus(major: PgMajor): Promise<readonly GalleryItem[]> {
  const directory = temporaryDirectory('zenith-fuzz-');
  const server = StockPostgres.create({
    major,
    settings: {
      full_page_writes: 'off',
      autovacuum: 'off',
      max_wal_size: '8GB',
      wal_keep_size: '4GB',
      checkpoint_timeout: '1h',
      wal_recycle: 'off',
      track_commit_timestamp: 'on',
      max_prepared_transactions: '4',
    },
  });
  try {
    const base = join(directory.path, 'base');
    mkdirSync(base);
    copyDataDirectory(server.dataDirectory, base);
    await server.start();
    await runWorkload(server);
    await server.stop();
    const replay = new CollectingReplay(major, base);
    replay.replay(server.dataDirectory);
    if (replay.failures.length > 0) throw new Error(replay.failures.slice(0, 5).join('\n'));
    return replay.items;
  } finally {
    await server.remove();
    directory.remove();
  }
}
