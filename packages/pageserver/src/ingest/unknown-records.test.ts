import { CorruptionError, ZenithError, type Lsn, type SystemId } from '@zenith/base';
import {
  RM_BTREE_ID,
  RM_CLOG_ID,
  RM_HEAP_ID,
  WalStreamEncoder,
  allocatePage,
  initPage,
  pageMaxOffset,
  type BlockSpec,
  type EncodedRecord,
  type RecordSpec,
} from '@zenith/pg-format';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { postgresRedo } from '../timeline/redo.ts';
import { Head, data } from './head.test-support.ts';
import { ingestMetrics } from './metrics.ts';

const REL = 16384;
const EXTENSION = 200;
const SYSTEM_ID = '7412345678901234567' as SystemId;
const INIT_PAGE = 0x80;

let head: Head;
beforeEach(async () => {
  head = await Head.create({}, { redo: postgresRedo() });
});
afterEach(() => head.close());

function block(number: number, parts: Partial<BlockSpec> = {}): BlockSpec {
  return { id: 0, spc: 1663, db: 5, rel: REL, fork: 0, block: number, ...parts };
}

/** A heap insert at an offset number, the first of which begins a page. */
function insert(number: number, offsetNumber: number): RecordSpec {
  const isFirst = offsetNumber === 1;
  const tuple = data([2, 1], [2, 0x0802], [1, 24], [1, 0], [4, 77]);
  return {
    rmid: RM_HEAP_ID,
    info: isFirst ? INIT_PAGE : 0,
    xid: 1000,
    mainData: data([2, offsetNumber], [1, 0]),
    blocks: [block(number, { willInit: isFirst, data: tuple })],
  };
}

function image(): BlockSpec['image'] {
  const page = allocatePage();
  initPage(page);
  return { bytes: page.bytes, apply: true, holeOffset: 0, holeLength: 0 };
}

/** Encodes records as a server would write them behind the end of the timeline, and ingests the stream. */
async function write(...specs: readonly RecordSpec[]): Promise<readonly EncodedRecord[]> {
  const start = head.timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  const records = specs.map((spec) => encoder.append(spec));
  await head.stream(encoder.bytes);
  return records;
}

/** How many tuples a block has at an LSN. */
function tuples(number: number, lsn: Lsn = head.timeline.lastRecordLsn): number {
  const page = allocatePage();
  head.timeline.readPage(head.timeline.find(ObjectKind.relation, 1663, 5, REL, 0), number, lsn, page);
  return pageMaxOffset(page);
}

function failure(number: number): unknown {
  try {
    tuples(number);
  } catch (error) {
    return error;
  }
  return undefined;
}

async function unknownRecords(): Promise<string | undefined> {
  const registry = new Registry();
  const { recordsByRmid, unknownRecords: count } = head.ingest.statistics;
  const gauges = {
    tenant: '',
    timeline: '',
    lastRecordLsn: 0,
    diskConsistentLsn: 0,
    remoteConsistentLsn: 0,
    commitLsn: 0,
    recordsByRmid,
    unknownRecords: count,
  };
  ingestMetrics(registry, () => [gauges]);
  return /^zenith_pageserver_unknown_records (\d+)$/m.exec(await registry.metrics())?.[1];
}

describe('records that this build does not know', () => {
  it('fail the reads of the pages they changed, by name, and of no others; WAL flows on and they are counted', async () => {
    const records = await write(
      insert(0, 1),
      insert(1, 1),
      { rmid: EXTENSION, info: 0x10, xid: 1001, blocks: [block(1, { data: data([4, 1]) })] },
      { rmid: RM_BTREE_ID, info: 0xf0, blocks: [block(2)] },
      { rmid: EXTENSION, info: 0x20, mainData: data([4, 1]) },
      insert(0, 2),
    );
    expect(head.timeline.lastRecordLsn).toBe(records.at(-1)?.endLsn);
    expect(head.counters().nextXid).toBe(1002n);
    expect(tuples(0)).toBe(2);

    const custom = failure(1);
    expect(custom).toBeInstanceOf(ZenithError);
    expect((custom as ZenithError).code).toBe('unsupported-record');
    expect(String(custom)).toMatch(/block 1 of relation 1663\/5\/16384.*no redo for custom resource manager 200\/0x10/);
    expect(String(failure(2))).toMatch(/block 2 of relation 1663\/5\/16384.*no redo for BTREE\/0xf0/);
    expect(tuples(1, records[1]?.endLsn)).toBe(1);
    expect(head.ingest.statistics.unknownRecords).toBe(3);
    expect(await unknownRecords()).toBe('3');
  });

  it('fail no read of a page whose image they carry, nor any after the next image', async () => {
    await write(insert(0, 1), {
      rmid: EXTENSION,
      info: 0x10,
      blocks: [block(0, { image: image() as NonNullable<BlockSpec['image']> })],
    });
    expect(tuples(0)).toBe(0);
    await write(insert(1, 1), { rmid: EXTENSION, info: 0x10, blocks: [block(1)] });
    expect(failure(1)).toBeInstanceOf(ZenithError);
    await write(insert(1, 1), insert(1, 2));
    expect(tuples(1)).toBe(2);
  });

  it('stop the timeline when they are of a resource manager whose records change more than pages: nothing may be served that may be wrong', async () => {
    await expect(write({ rmid: RM_CLOG_ID, info: 0x70 })).rejects.toThrow(CorruptionError);
  });
});
