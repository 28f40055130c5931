import { CorruptionError, INVALID_LSN, lsn } from '@zenith/base';
import { WalRecord, allocatePage, decodeRecord, encodeRecord, type RecordSpec } from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import type { GalleryItem } from '../gallery-item.test-support.ts';
import { GALLERY } from '../gallery.test-support.ts';
import { redoBlock } from '../index.ts';
import { END_LSN, record } from '../record-builder.test-support.ts';

const HEADER = 24;
const HAS_IMAGE = 0x10;
const SAME_REL = 0x80;
const RELATION = 12;
const BLOCK_NUMBER = 4;

/** Where the record's headers give a length: [offset, size]. Images of the gallery are not compressed. */
function lengthFields(encoded: Uint8Array): readonly (readonly [offset: number, size: 1 | 2 | 4])[] {
  const fields: [number, 1 | 2 | 4][] = [[0, 4]];
  for (let at = HEADER; at < encoded.length;) {
    const id = encoded[at] as number;
    if (id === 255) return [...fields, [at + 1, 1]];
    if (id === 254) return [...fields, [at + 1, 4]];
    if (id > 32) throw new Error(`a header of ${id} in a record of the gallery`);
    const flags = encoded[at + 1] as number;
    fields.push([at + 2, 2]);
    if ((flags & HAS_IMAGE) !== 0) throw new Error('a record of the gallery with an image');
    at += 4 + ((flags & SAME_REL) === 0 ? RELATION : 0) + BLOCK_NUMBER;
    const announced = fields
      .slice(1)
      .reduce((sum, [offset]) => sum + (encoded[offset] as number) + 256 * (encoded[offset + 1] as number), 0);
    if (encoded.length - at === announced) return fields;
  }
  return fields;
}

function withLength(encoded: Uint8Array, offset: number, size: 1 | 2 | 4, by: number): Uint8Array {
  const changed = encoded.slice();
  const view = new DataView(changed.buffer);
  if (size === 1) view.setUint8(offset, view.getUint8(offset) + by);
  else if (size === 2) view.setUint16(offset, view.getUint16(offset, true) + by, true);
  else view.setUint32(offset, view.getUint32(offset, true) + by, true);
  return changed;
}

/** Kinds of records whose data is nothing but a tuple without a length of its own, or a list that ends where the data end: any length is a right one. */
const LENGTH_IS_THE_CONTENT =
  /^(heap insert|heap update|heap prune of 15|brin insert|brin update|hash move, block 2|hash delete, block 1|generic)/;

function resized(data: Uint8Array, by: number): Uint8Array {
  const copy = new Uint8Array(data.length + by);
  copy.set(data.subarray(0, Math.min(copy.length, data.length)));
  return copy;
}

function redone(item: GalleryItem, spec: RecordSpec): boolean {
  const major = item.major ?? 18;
  const page = allocatePage();
  page.bytes.set(item.page);
  try {
    redoBlock(major, record(major, spec), item.blockIndex, page);
    return true;
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return false;
  }
}

describe.each(GALLERY.map((item): [string, GalleryItem] => [item.name, item]))('%s', (name, item) => {
  it('is refused when one of the lengths in its headers is wrong', () => {
    const encoded = encodeRecord(item.spec, lsn(0x1000));
    for (const [offset, size] of lengthFields(encoded)) {
      for (const by of [-256, -3, -2, -1, 1, 2, 3, 256]) {
        if (size === 1 && Math.abs(by) === 256) continue;
        const bytes = new Uint8Array(encoded.length + 512);
        bytes.set(withLength(encoded, offset, size, by));
        expect(
          () =>
            decodeRecord(item.major ?? 18, bytes, new DataView(bytes.buffer), 0, INVALID_LSN, END_LSN, new WalRecord()),
          `length at ${offset}, ${by} more`,
        ).toThrow(CorruptionError);
      }
    }
  });

  if (LENGTH_IS_THE_CONTENT.test(name)) return;
  it('is refused when the data of its block are longer or shorter than what is in them', () => {
    const blocks = item.spec.blocks ?? [];
    const target = blocks.find(({ id }) => id === item.blockIndex);
    for (const by of [-4, -2, -1, 1, 2, 4]) {
      const data = target?.data;
      if (data === undefined || data.length + by <= 0) continue;
      const changed = blocks.map((block) => (block === target ? { ...block, data: resized(data, by) } : block));
      expect(redone(item, { ...item.spec, blocks: changed }), `${by} bytes more`).toBe(false);
    }
  });
});
