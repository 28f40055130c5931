import { CorruptionError } from '@zenith/base';
import { RM_GIN_ID, allocatePage, pageLower, setPageLower, type Page, type RecordSpec } from '@zenith/pg-format';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redoBlock } from '../index.ts';
import { block, pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';
import { GIN_COMPRESSED, GIN_DATA, GIN_LEAF, ginFlags, ginMaxOff, initGinPage, setGinMaxOff } from './page.ts';
import { SegmentWriter } from './posting-list.ts';

type Items = readonly number[];
/** What happens to one segment of the old page: `before` are segments put in front of it. */
interface Change {
  readonly items: Items;
  readonly before: readonly Items[];
  readonly action: 'keep' | 'delete' | 'replace' | 'add';
  readonly with: Items;
}

/** The bytes of a segment. */
function segment(items: Items): Uint8Array {
  const page = allocatePage();
  const writer = new SegmentWriter();
  writer.open(page, 0, 8192);
  for (const item of items) writer.append(item);
  return page.bytes.subarray(0, writer.close());
}

const tid = (item: number): Uint8Array => {
  const heapBlock = Math.floor(item / 2048);
  return pack(u16(heapBlock >>> 16), u16(heapBlock & 0xffff), u16(item % 2048));
};
const createTree = (segments: readonly Items[]): RecordSpec => {
  const lists = pack(...segments.map(segment));
  return {
    rmid: RM_GIN_ID,
    info: 0x10,
    mainData: pack(u32(lists.length), lists),
    blocks: [block(0, 5, { willInit: true })],
  };
};
const vacuum = (data: Uint8Array): RecordSpec => ({ rmid: RM_GIN_ID, info: 0x90, blocks: [block(0, 5, { data })] });

function redo(page: Page, spec: RecordSpec): Page {
  redoBlock(18, record(18, spec), 0, page);
  return page;
}

/** The record's data for these changes, and the segments that the page must then have. */
function plan(
  changes: readonly Change[],
  behind: readonly Items[],
): { readonly data: Uint8Array; readonly expected: Items[] } {
  const actions: Uint8Array[] = [];
  const expected: Items[] = [];
  const insert = (number: number, items: Items): void => {
    actions.push(pack(u8(number), u8(2), segment(items)));
    expected.push(items);
  };
  changes.forEach((change, number) => {
    for (const items of change.before) insert(number, items);
    if (change.action === 'keep') expected.push(change.items);
    if (change.action === 'delete') actions.push(pack(u8(number), u8(1)));
    if (change.action === 'replace') {
      actions.push(pack(u8(number), u8(3), segment(change.with)));
      expected.push(change.with);
    }
    if (change.action === 'add') {
      const added = change.with.filter((item) => !change.items.includes(item));
      actions.push(pack(u8(number), u8(4), u16(added.length), ...added.map(tid)));
      expected.push([...change.items, ...added].sort((a, b) => a - b));
    }
  });
  for (const items of behind) insert(changes.length, items);
  return { data: pack(u16(actions.length), ...actions), expected };
}

const itemsOf = fc
  .uniqueArray(
    fc
      .tuple(
        fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0xfffffffe })),
        fc.integer({ min: 1, max: 300 }),
      )
      .map(([heapBlock, offsetNumber]) => heapBlock * 2048 + offsetNumber),
    { minLength: 1, maxLength: 25 },
  )
  .map((list): Items => list.sort((a, b) => a - b));
const few = fc.array(itemsOf, { maxLength: 2 });
const changes = fc.array(
  fc.record<Change>({
    items: itemsOf,
    before: few,
    action: fc.constantFrom('keep', 'delete', 'replace', 'add'),
    with: itemsOf,
  }),
  { maxLength: 8 },
);

const expectedBytes = (segments: readonly Items[]): Uint8Array => pack(...segments.map(segment));

describe('recompression of a posting tree leaf', () => {
  it('gives the segments that the actions say, byte for byte, in whatever combination', () => {
    fc.assert(
      fc.property(changes, few, (list, behind) => {
        const { data, expected } = plan(list, behind);
        const page = redo(allocatePage(), createTree(list.map((change) => change.items)));
        redo(page, vacuum(data));
        const bytes = expectedBytes(expected);
        expect(pageLower(page)).toBe(32 + bytes.length);
        expect(Buffer.compare(page.bytes.subarray(32, pageLower(page)), bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('makes one segment of plain item pointers first', () => {
    fc.assert(
      fc.property(fc.option(itemsOf), itemsOf, (old, added) => {
        const page = allocatePage();
        const opaque = initGinPage(page, GIN_DATA | GIN_LEAF);
        const items = old ?? [];
        page.bytes.set(pack(...items.map(tid)), 32);
        setGinMaxOff(page, opaque, items.length);
        const change: Change = { items, before: [], action: 'add', with: added };
        const { data, expected } = plan(items.length === 0 ? [] : [change], items.length === 0 ? [added] : []);
        redo(page, vacuum(data));
        const bytes = expectedBytes(expected);
        expect(Buffer.compare(page.bytes.subarray(32, pageLower(page)), bytes)).toBe(0);
        expect(pageLower(page)).toBe(32 + bytes.length);
        expect(ginFlags(page, opaque)).toBe(GIN_DATA | GIN_LEAF | GIN_COMPRESSED);
        expect(ginMaxOff(page, opaque)).toBe(0);
      }),
    );
  });

  it('refuses more than the page holds', () => {
    const wide = Array.from({ length: 300 }, (_, i) => i * 1000 * 2048 + 1);
    const old = Array.from({ length: 8 }, () => wide);
    const page = redo(allocatePage(), createTree(old));
    const big = pack(u16(2), ...[0, 0].map(() => pack(u8(0), u8(2), segment(wide))));
    expect(() => redo(page, vacuum(big))).toThrow(/posting lists, \d+ left on the page/);
  });

  it('refuses a page whose posting lists end before they begin', () => {
    const page = redo(allocatePage(), createTree([]));
    setPageLower(page, 24);
    expect(() => redo(page, vacuum(pack(u16(0))))).toThrow(/end at byte 24/);
  });

  it.each([
    [
      'an action for a segment that is not there',
      pack(u16(1), u8(3), u8(1)),
      /segment of 8 bytes or more, 0 bytes left/,
    ],
    ['an action for a segment before the last', pack(u16(2), u8(1), u8(1), u8(0), u8(1)), /segment 0 after one for 1/],
    ['an unknown action', pack(u16(1), u8(0), u8(5)), /unexpected GIN leaf action: 5/],
    ['data that end early', pack(u16(2), u8(0), u8(1)), /before action 2 of 2/],
    ['items that end early', pack(u16(1), u8(0), u8(4), u16(2), tid(5)), /run past the end/],
    ['bytes that are left', pack(u16(1), u8(0), u8(1), u8(7)), /1 bytes left/],
    ['an item that is there already', pack(u16(1), u8(0), u8(4), u16(1), tid(2049)), /out of order/],
  ])('refuses %s', (_name, data, message) => {
    const page = redo(allocatePage(), createTree([[2049, 4097], [6145]]));
    expect(() => redo(page, vacuum(data))).toThrow(message);
    expect(() => redo(page, vacuum(data))).toThrow(CorruptionError);
  });
});
