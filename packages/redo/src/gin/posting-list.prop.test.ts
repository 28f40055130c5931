import { CorruptionError } from '@zenith/base';
import { allocatePage } from '@zenith/pg-format';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SegmentReader, SegmentWriter, segmentLength } from './posting-list.ts';

const LIMIT = 8184;

/** An item as posting lists count: block number × 2^11 + offset number. */
const item = (block: number, offsetNumber: number): number => block * 2048 + offsetNumber;
const anItem = fc
  .tuple(
    fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 0xfffffffe })),
    fc.integer({ min: 1, max: 2047 }),
  )
  .map(([block, offsetNumber]) => item(block, offsetNumber));
const itemLists = fc.uniqueArray(anItem, { minLength: 1, maxLength: 200 }).map((list) => list.sort((a, b) => a - b));

function write(items: readonly number[], limit = LIMIT): { readonly bytes: Uint8Array; readonly end: number } {
  const page = allocatePage();
  page.bytes.fill(0xee);
  const writer = new SegmentWriter();
  writer.open(page, 32, limit);
  for (const each of items) writer.append(each);
  return { bytes: page.bytes, end: writer.close() };
}

function read(bytes: Uint8Array): number[] {
  const reader = new SegmentReader();
  const items: number[] = [];
  const page = { bytes, view: new DataView(bytes.buffer) };
  for (reader.open(page, 32); reader.item !== -1; reader.advance()) items.push(reader.item);
  return items;
}

describe('posting list segments', () => {
  it('are read as they were written, and no byte behind them changes', () => {
    fc.assert(
      fc.property(itemLists, (items) => {
        const { bytes, end } = write(items);
        expect(read(bytes)).toEqual(items);
        expect(32 + segmentLength(new DataView(bytes.buffer), 32, LIMIT)).toBe(end);
        expect(bytes.subarray(end).every((byte) => byte === 0xee)).toBe(true);
      }),
    );
  });

  it('have the bytes that PostgreSQL writes', () => {
    const { bytes, end } = write([item(3, 5), item(3, 6), item(3, 5 + 128), item(4, 1), item(0xfffffffe, 2)]);
    const first = [0, 0, 3, 0, 5, 0];
    const differences = [1, 0x7f, 0xfc, 0x0e, 0x81, 0xa0, 0xff, 0xff, 0xff, 0xff, 0x01];
    expect([...bytes.subarray(32, end)]).toEqual([...first, 11, 0, ...differences, 0]);
  });

  it('are refused when they do not fit, whatever the room', () => {
    const items = Array.from({ length: 20 }, (_, i) => item(i * 1000, 1));
    const { end } = write(items);
    for (let limit = 32; limit < end; limit++) expect(() => write(items, limit)).toThrow(CorruptionError);
    expect(write(items, end).end).toBe(end);
  });

  it('are refused when items are out of order or doubled', () => {
    expect(() => write([item(2, 1), item(1, 1)])).toThrow(/out of order/);
    expect(() => write([item(2, 1), item(2, 1)])).toThrow(/out of order/);
  });

  it('are refused when the last item is cut off, has too many bytes or lies past the last block', () => {
    const { bytes } = write([item(1, 1), item(900, 1)]);
    const cut = bytes.slice();
    cut[38] = 2;
    expect(() => read(cut)).toThrow(/does not end/);
    const long = bytes.slice();
    long[38] = 9;
    long.fill(0x80, 40, 49);
    expect(() => read(long)).toThrow(/does not end/);
    const far = bytes.slice();
    far[38] = 7;
    far.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 40);
    expect(() => read(far)).toThrow(/past the last block/);
  });
});
