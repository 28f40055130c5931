import { lsn, type Lsn } from '@zenith/base';
import type { PageHistoryAnswer } from '@zenith/control-plane';
import {
  BLCKSZ,
  RM_HEAP_ID,
  allocatePage,
  encodeRecord,
  type BlockSpec,
  type Page,
  type RecordSpec,
} from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { eventLines } from './page-lines.ts';
import { replayHistory } from './replay-history.ts';

type StoredValue = PageHistoryAnswer['values'][number];
const PAGE = { major: 18, fork: 0, block: 7 } as const;
const RELATION = { spc: 1663, db: 5, rel: 16384, fork: 0, block: 7 };

/** 2026-11-22 10:00:00.5 UTC. */
const COMMITTED = { transaction: 'committed', commitTime: 1_795_341_600_500_000 } as const;

function recordValue(at: number, spec: RecordSpec, kind: 'record' | 'init-record' = 'record'): StoredValue {
  return { lsn: lsn(at), kind, blockIndex: 0, bytes: new Uint8Array(encodeRecord(spec, lsn(8))) };
}

/** A heap tuple of one column. */
function insert(offsetNumber: number, parts: Partial<BlockSpec> = {}): RecordSpec {
  return {
    rmid: RM_HEAP_ID,
    info: offsetNumber === 1 ? 0x80 : 0,
    xid: 740 + offsetNumber,
    mainData: Uint8Array.of(offsetNumber, 0, 0),
    blocks: [{ id: 0, ...RELATION, data: Uint8Array.of(1, 0, 0x00, 0x08, 24, 0, offsetNumber, 0, 0, 0), ...parts }],
  };
}

function texts(values: readonly StoredValue[], before: Page | undefined): string[] {
  return replayHistory(PAGE, values, before).map((event) => eventLines(event).join('\n'));
}

test('each record is told with its transaction and what it changed', () => {
  const values = [recordValue(0x100, insert(1, { willInit: true }), 'init-record'), recordValue(0x200, insert(2))];
  expect(texts(values, undefined)).toEqual([
    `0/100  tx 741  HEAP/INSERT+INIT off 1 flags 0x00
    page: kind all zeroes → heap
    header added: lsn 0/100, checksum 0x0000, flags 0x0000, lower 28, upper 8160, special 8192, size and version 0x2004, prune xid 0
    item 1 added: lp normal, at 8160, length 28, xmin 741, xmax 0, cid 0, ctid (7,1), columns 1, infomask2 0x0001, infomask 0x0800 XMAX_INVALID, hoff 24, data 01000000`,
    `0/200  tx 742  HEAP/INSERT off 2 flags 0x00
    header: lower 28 → 32, upper 8160 → 8128
    item 2 added: lp normal, at 8128, length 28, xmin 742, xmax 0, cid 0, ctid (7,2), columns 1, infomask2 0x0001, infomask 0x0800 XMAX_INVALID, hoff 24, data 02000000`,
  ]);
});

test('without the page before, changes are told from the first image on', () => {
  const image = new Uint8Array(allocatePage().bytes);
  const lines = texts(
    [
      recordValue(0x100, insert(2)),
      { lsn: lsn(0x200), kind: 'image', bytes: image },
      { lsn: lsn(0x300), kind: 'zero-page', bytes: new Uint8Array(0) },
    ],
    undefined,
  );
  expect(lines).toEqual([
    '0/100  tx 742  HEAP/INSERT off 2 flags 0x00\n    what it changed cannot be told: the page before it is not known',
    '0/200  image: the history that is kept begins here\n    nothing that is shown',
    '0/300  page of zeroes: the relation was extended\n    nothing that is shown',
  ]);
});

test('a record that has no redo is named, and what follows it cannot be told', () => {
  const custom: RecordSpec = { rmid: 200, info: 0, xid: 9, blocks: [{ id: 0, ...RELATION, data: Uint8Array.of(1) }] };
  const lines = texts([recordValue(0x100, custom), recordValue(0x200, insert(2))], allocatePage());
  expect(lines[0]).toContain('0/100  tx 9  custom resource manager 200/0x00\n    the page cannot be rebuilt: ');
  expect(lines[1]).toContain('cannot be told');
});

test('an operation, and a full-page image in a record', () => {
  const view = new DataView(new ArrayBuffer(6));
  view.setUint8(0, 1);
  view.setUint8(1, 3);
  view.setUint32(2, 5, true);
  const operation: StoredValue = { lsn: 0x100 as Lsn, kind: 'operation', bytes: new Uint8Array(view.buffer) };
  const page = allocatePage();
  page.bytes.fill(0xff, 24);
  page.view.setUint16(12, 24, true);
  page.view.setUint16(14, BLCKSZ, true);
  page.view.setUint16(16, BLCKSZ, true);
  page.view.setUint16(18, 0x2004, true);
  const [event] = replayHistory({ ...PAGE, fork: 2, block: 0 }, [operation], page);
  expect(event?.description).toBe('visibility map clear: heap blocks 5');
  expect(event?.changes).toEqual([
    {
      part: 'heap blocks',
      change: 'changed',
      fields: [
        { name: 'all visible', before: '0-32671', after: '0-4 6-32671' },
        { name: 'all frozen', before: '0-32671', after: '0-4 6-32671' },
      ],
    },
  ]);
});

test('how a transaction ended, and when', () => {
  const values = [
    { ...recordValue(0x100, insert(1, { willInit: true }), 'init-record'), ...COMMITTED },
    { ...recordValue(0x200, insert(2)), transaction: 'aborted' as const },
  ];
  const heads = texts(values, undefined).map((text) => text.split('\n')[0]);
  expect(heads[0]).toMatch(/^0\/100  tx 741, committed 2026-11-2\d \d\d:\d\d:00\.500000 UTC.*  HEAP\/INSERT\+INIT/);
  expect(heads[1]).toBe('0/200  tx 742, aborted  HEAP/INSERT off 2 flags 0x00');
});
