import fc from 'fast-check';
import type { Lsn, SystemId } from '@zenith/base';
import { BLCKSZ } from '../page/page.ts';
import type { BlockSpec, RecordSpec } from './encode-record.ts';
import type { WalRecord } from './record.ts';

export const SYSTEM_ID = '7412345678901234567' as SystemId;
/** The smallest segment, so that tests cross many. */
export const SEGMENT_SIZE = 1 << 20;

const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: 1, maxLength: max });

const image = fc
  .record({
    holeOffset: fc.integer({ min: 1, max: 4000 }),
    holeLength: fc.integer({ min: 0, max: 4192 }),
    fill: fc.nat(255),
    apply: fc.boolean(),
  })
  .map(({ holeOffset, holeLength, fill, apply }) => ({
    bytes: Uint8Array.from({ length: BLCKSZ - holeLength }, (_, i) => (fill + i) & 0xff),
    apply,
    holeOffset: holeLength === 0 ? 0 : holeOffset,
    holeLength,
  }));

const blockWithoutId = fc.record(
  {
    spc: fc.constantFrom(1663, 1664),
    db: fc.constantFrom(0, 5),
    rel: fc.integer({ min: 1, max: 3 }),
    fork: fc.nat(3),
    block: fc.nat(0xfffffffe),
    willInit: fc.boolean(),
    image,
    data: bytes(300),
  },
  { requiredKeys: ['spc', 'db', 'rel', 'fork', 'block'] },
);

const blocks: fc.Arbitrary<BlockSpec[]> = fc
  .uniqueArray(fc.tuple(fc.nat(32), blockWithoutId), { maxLength: 4, selector: ([id]) => id })
  .map((list) => list.toSorted(([a], [b]) => a - b).map(([id, block]) => ({ id, ...block })));

const mainData = fc.oneof(
  { weight: 10, arbitrary: bytes(300) },
  { weight: 2, arbitrary: bytes(9000) },
  // Longer than several pages: a pattern, since the generator is slow for so many bytes.
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 9000, max: 60_000 })
      .map((length) => Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff)),
  },
);

/** Any record but those of RM_XLOG_ID, of which two types are special to the decoder. */
export const recordSpec: fc.Arbitrary<RecordSpec> = fc.record(
  {
    rmid: fc.oneof(fc.integer({ min: 1, max: 21 }), fc.integer({ min: 128, max: 255 })),
    info: fc.nat(255),
    xid: fc.nat(0xffffffff),
    origin: fc.nat(0xffff),
    topLevelXid: fc.nat(0xffffffff),
    blocks,
    mainData,
  },
  { requiredKeys: ['rmid', 'info'] },
);

/** Positions at which WAL can go on: inside of pages, on page and on segment boundaries, just before one, and far out. */
export const startLsn: fc.Arbitrary<Lsn> = fc
  .tuple(
    fc.constantFrom(
      SEGMENT_SIZE,
      2 * SEGMENT_SIZE - 8192,
      3 * SEGMENT_SIZE - 64,
      0x1_0000_0000,
      0x12_3456_0000 - (0x12_3456_0000 % SEGMENT_SIZE),
      2 ** 52,
    ),
    fc.constantFrom(0, 40, 48, 8192 - 8, 8192 - 16, 8192 - 24, 8192, 8192 + 24, 100_000),
  )
  .map(([base, offset]) => (base % SEGMENT_SIZE === SEGMENT_SIZE - 64 ? base : base + offset) as Lsn);

/** Bytes as text: comparing long arrays element by element is slow. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Everything a decoded record says, bytes included, in a form that outlives the buffer and compares with {@link specAsText}. */
export function recordAsText(record: WalRecord): unknown {
  const slice = (offset: number, length: number): string => text(record.bytes.subarray(offset, offset + length));
  const list = record.blocks.slice(0, record.blockCount).flatMap((block, id) => {
    if (!block.inUse) return [];
    const { spc, db, rel, fork, block: number, willInit, hasImage, applyImage, holeOffset, holeLength } = block;
    const image = hasImage
      ? { bytes: slice(block.imageOffset, block.imageLength), apply: applyImage, holeOffset, holeLength }
      : undefined;
    return [
      { id, spc, db, rel, fork, block: number, willInit, image, data: slice(block.dataOffset, block.dataLength) },
    ];
  });
  const { rmid, info, xid, origin, topLevelXid } = record;
  return {
    rmid,
    info,
    xid,
    origin,
    topLevelXid,
    blocks: list,
    mainData: slice(record.mainDataOffset, record.mainDataLength),
  };
}

/** What {@link recordAsText} gives for the record that is encoded from `spec`. */
export function specAsText(spec: RecordSpec): unknown {
  const list = (spec.blocks ?? []).map(
    ({ id, spc, db, rel, fork, block, willInit = false, image: full, data = new Uint8Array(0) }) => {
      const { apply, holeOffset, holeLength } = full ?? {};
      return {
        id,
        spc,
        db,
        rel,
        fork,
        block,
        willInit,
        image: full === undefined ? undefined : { bytes: text(full.bytes), apply, holeOffset, holeLength },
        data: text(data),
      };
    },
  );
  const { rmid, info, xid = 0, origin = 0, topLevelXid = 0, mainData: main = new Uint8Array(0) } = spec;
  return { rmid, info, xid, origin, topLevelXid, blocks: list, mainData: text(main) };
}
