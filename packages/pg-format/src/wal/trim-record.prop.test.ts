import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptionError, INVALID_LSN } from '@zenith/base';
import { BKPBLOCK_HAS_DATA, BKPBLOCK_HAS_IMAGE, XLR_CHECK_CONSISTENCY } from './constants.ts';
import { decodeRecord } from './decode-record.ts';
import { encodeRecord } from './encode-record.ts';
import { WalRecord, type BlockReference } from './record.ts';
import { recordSpec } from './record-arbitraries.test-support.ts';
import { trimRecord, trimmedLength } from './trim-record.ts';

function decode(bytes: Uint8Array, offset = 0): WalRecord {
  const record = new WalRecord();
  decodeRecord(
    18,
    bytes,
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    offset,
    INVALID_LSN,
    INVALID_LSN,
    record,
  );
  return record;
}

function text(record: WalRecord, offset: number, length: number): string {
  return Buffer.from(record.bytes.slice(offset, offset + length)).toString('latin1');
}

const tag = (block: BlockReference): unknown => [
  block.inUse,
  block.spc,
  block.db,
  block.rel,
  block.fork,
  block.block,
  block.willInit,
];

describe('trimRecord', () => {
  test('keeps one block whole and of the others only what they are', () => {
    fc.assert(
      fc.property(recordSpec, fc.nat(32), fc.nat(100), (spec, keep, outOffset) => {
        const bytes = encodeRecord(spec, INVALID_LSN);
        const record = decode(bytes);
        const out = new Uint8Array(outOffset + bytes.length);
        const length = trimRecord(record, keep, out, new DataView(out.buffer), outOffset);
        expect(length).toBe(trimmedLength(record, keep));
        expect(length).toBeLessThanOrEqual(bytes.length);
        const trimmed = decode(out, outOffset);
        expect(trimmed.totalLength).toBe(length);
        expect([trimmed.rmid, trimmed.xid, trimmed.info, trimmed.blockCount]).toEqual([
          record.rmid,
          record.xid,
          record.info & ~XLR_CHECK_CONSISTENCY,
          record.blockCount,
        ]);
        expect(text(trimmed, trimmed.mainDataOffset, trimmed.mainDataLength)).toBe(
          text(record, record.mainDataOffset, record.mainDataLength),
        );
        for (let id = 0; id < record.blockCount; id++) {
          const before = record.blocks[id] as BlockReference;
          const after = trimmed.blocks[id] as BlockReference;
          expect(after.inUse).toBe(before.inUse);
          if (!before.inUse) continue;
          expect(tag(after)).toEqual(tag(before));
          const keepsImage = id === keep && before.applyImage;
          const expectedData = id === keep ? text(record, before.dataOffset, before.dataLength) : '';
          expect(text(trimmed, after.dataOffset, after.dataLength)).toBe(expectedData);
          expect(text(trimmed, after.imageOffset, after.imageLength)).toBe(
            keepsImage ? text(record, before.imageOffset, before.imageLength) : '',
          );
          expect(after.hasImage).toBe(keepsImage);
          expect((after.flags & BKPBLOCK_HAS_IMAGE) !== 0).toBe(keepsImage);
          expect((after.flags & BKPBLOCK_HAS_DATA) !== 0).toBe(expectedData.length > 0);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('decodeRecord', () => {
  test('a damaged record is decoded inside its bounds or refused, never anything else', () => {
    fc.assert(
      fc.property(
        recordSpec,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (spec, changes) => {
          const bytes = encodeRecord(spec, INVALID_LSN);
          // The headers are where damage can lead astray; keep to the first bytes.
          for (const [place, value] of changes) bytes[place % Math.min(bytes.length, 160)] = value;
          try {
            const record = decode(bytes);
            expect(record.mainDataOffset + record.mainDataLength).toBe(record.totalLength);
            for (const block of record.blocks.slice(0, record.blockCount)) {
              if (!block.inUse) continue;
              expect(block.imageOffset + block.imageLength).toBeLessThanOrEqual(record.totalLength);
              expect(block.dataOffset + block.dataLength).toBeLessThanOrEqual(record.totalLength);
              expect(block.holeOffset + block.holeLength).toBeLessThanOrEqual(8192);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(CorruptionError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
