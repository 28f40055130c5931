import { RM_GIN_ID, allocatePage, setPageLower, type Page, type RecordSpec } from '@zenith/pg-format';
import { NEW_PAGE, build, itemsOfBlocks, type GalleryItem } from '../gallery-item.test-support.ts';
import { block, pack, u16, u32, u8 } from '../record-builder.test-support.ts';
import { GIN_COMPRESSED, GIN_DATA, GIN_INCOMPLETE_SPLIT, GIN_LEAF, initGinPage, setGinMaxOff } from './page.ts';

const ISDATA = 1;
const ISLEAF = 2;
const NONE = u32(0xffffffff);

/** An entry: header, an int4 key, 16 bytes. */
const entry = (key: number, tid: Uint8Array): Uint8Array => pack(tid, u16(16), u32(key), u32(0));
const tid = (heapBlock: number, offsetNumber: number): Uint8Array => pack(u16(0), u16(heapBlock), u16(offsetNumber));
const downlink = (child: number): Uint8Array => tid(child, 0);
const blockId = (number: number): Uint8Array => pack(u16(0), u16(number));

function gin(info: number, mainData: Uint8Array, blocks: RecordSpec['blocks']): RecordSpec {
  return { rmid: RM_GIN_ID, info, mainData, blocks: blocks ?? [] };
}

function emptyPage(flags: number): Page {
  const page = allocatePage();
  initGinPage(page, flags);
  return page;
}

const leafEntry = (offsetNumber: number, tuple: Uint8Array, isDelete = 0): RecordSpec =>
  gin(0x20, pack(u16(ISLEAF)), [block(0, 3, { data: pack(u16(offsetNumber), u8(isDelete), u8(0), tuple) })]);
const innerEntry = (offsetNumber: number, tuple: Uint8Array): RecordSpec =>
  gin(0x20, pack(u16(0), blockId(2), blockId(9)), [
    block(0, 3, { data: pack(u16(offsetNumber), u8(0), u8(0), tuple) }),
    block(1, 2),
  ]);

const entryLeaf = build(emptyPage(GIN_LEAF), ...[1, 2, 3, 4].map((n) => leafEntry(n, entry(n * 10, tid(n, 1)))));
// What an inner page begins with is never logged but in images: tuples as a leaf has them will do.
const entryInner = entryLeaf.slice();
entryInner[8190] = 0;
const splitChild = emptyPage(GIN_LEAF | GIN_INCOMPLETE_SPLIT).bytes;

/** A segment of the items (block, 1) for blocks `from`, `from` + 1, … */
const segment = (from: number, count: number): Uint8Array => {
  const differences = Array.from({ length: count - 1 }, () => pack(u8(0x80), u8(0x10)));
  return pack(tid(from, 1), u16((count - 1) * 2), ...differences);
};
const createTree = (...segments: readonly Uint8Array[]): RecordSpec => {
  const lists = pack(...segments);
  return gin(0x10, pack(u32(lists.length), lists), [block(0, 5, { willInit: true })]);
};
const postingLeaf = build(
  allocatePage(),
  createTree(segment(10, 20), segment(40, 30), segment(80, 10), segment(99, 3)),
);
const recompress = pack(
  u16(5),
  pack(u8(0), u8(1)),
  pack(u8(1), u8(4), u16(2), tid(41, 3), tid(75, 1)),
  pack(u8(2), u8(2), segment(78, 2)),
  pack(u8(2), u8(3), segment(80, 4)),
  pack(u8(4), u8(2), segment(200, 1)),
);

const uncompressed = emptyPage(GIN_DATA | GIN_LEAF);
uncompressed.bytes.set(pack(...[3, 4, 9, 300].map((n) => tid(n, 2))), 32);
setGinMaxOff(uncompressed, 8184, 4);

const postingItem = (child: number, key: number): Uint8Array => pack(blockId(child), tid(key, 1));
const postingInner = emptyPage(GIN_DATA);
postingInner.bytes.set(pack(...[2, 3, 4].map((n) => postingItem(n, n * 100))), 32);
setGinMaxOff(postingInner, 8184, 3);
setPageLower(postingInner, 62);

const meta = pack(...[7, 8, 4000, 2, 12, 0, 20, 9, 8, 0, 300, 0, 2, 0].map((word): readonly [4, number] => u32(word)));
const updateMeta = (previousTail: readonly [4, number], count: number, tuples?: Uint8Array): RecordSpec =>
  gin(0x60, pack(new Uint8Array(16), meta, previousTail, u32(9), u32(count), u32(0)), [
    block(0, 0, { willInit: true }),
    block(1, 8, tuples === undefined ? {} : { data: tuples }),
  ]);
const listPage = (rightLink: readonly [4, number], ...tuples: readonly Uint8Array[]): RecordSpec =>
  gin(0x70, pack(rightLink, u32(tuples.length)), [block(0, 8, { willInit: true, data: pack(...tuples) })]);
const rows = [entry(1, tid(5, 1)), entry(2, tid(5, 1))];
const pendingPage = build(allocatePage(), listPage(NONE, ...rows));
const deletePage = gin(0x50, pack(u16(2), u16(0), u32(4), u32(777)), [block(0, 3), block(1, 5), block(2, 2)]);
const deleteList = gin(0x80, pack(meta, u32(2), u32(0)), [
  block(0, 0, { willInit: true }),
  block(1, 7, { willInit: true }),
  block(2, 8, { willInit: true }),
]);

/** One of each form of GIN record. */
export const GIN_GALLERY: readonly GalleryItem[] = [
  ...itemsOfBlocks('gin new posting tree', createTree(segment(1, 4)), { 0: NEW_PAGE }),
  ...itemsOfBlocks('gin insert of an entry', leafEntry(3, entry(25, tid(5, 1))), { 0: entryLeaf }),
  ...itemsOfBlocks('gin insert of an entry in place of another', leafEntry(2, entry(20, tid(6, 1)), 1), {
    0: entryLeaf,
  }),
  ...itemsOfBlocks('gin insert into an inner page', innerEntry(2, entry(15, downlink(2))), {
    0: entryInner,
    1: splitChild,
  }),
  ...itemsOfBlocks(
    'gin insert of a posting item',
    gin(0x20, pack(u16(ISDATA), blockId(3), blockId(9)), [
      block(0, 5, { data: pack(u16(2), postingItem(3, 250)) }),
      block(1, 3),
    ]),
    { 0: postingInner.bytes, 1: splitChild },
  ),
  ...itemsOfBlocks(
    'gin insert into a posting tree leaf',
    gin(0x20, pack(u16(ISDATA | ISLEAF)), [block(0, 5, { data: recompress })]),
    { 0: postingLeaf },
  ),
  ...itemsOfBlocks('gin vacuum of a posting tree leaf', gin(0x90, pack(), [block(0, 5, { data: recompress })]), {
    0: postingLeaf,
  }),
  ...itemsOfBlocks(
    'gin vacuum of a leaf of plain item pointers',
    gin(0x90, pack(), [block(0, 5, { data: pack(u16(1), u8(0), u8(4), u16(1), tid(5, 7)) })]),
    { 0: uncompressed.bytes },
  ),
  ...itemsOfBlocks(
    'gin split of an inner page',
    gin(0x30, pack(new Uint8Array(12), u32(4), u32(2), u32(9), u16(0), u16(0)), [
      block(0, 3),
      block(1, 4),
      block(3, 2),
    ]),
    { 3: splitChild },
  ),
  ...itemsOfBlocks('gin delete of a page', deletePage, {
    0: postingLeaf,
    1: postingInner.bytes,
    2: build(emptyPage(GIN_DATA | GIN_LEAF | GIN_COMPRESSED)),
  }),
  ...itemsOfBlocks('gin row on the last list page', updateMeta(NONE, 2, pack(...rows)), {
    0: NEW_PAGE,
    1: pendingPage,
  }),
  ...itemsOfBlocks('gin list page after the last', updateMeta(u32(8), 0), { 1: pendingPage }),
  ...itemsOfBlocks('gin list page', listPage(NONE, ...rows), { 0: NEW_PAGE }),
  ...itemsOfBlocks('gin list page within a row', listPage(u32(12), ...rows), { 0: NEW_PAGE }),
  ...itemsOfBlocks('gin delete of list pages', deleteList, { 0: NEW_PAGE, 2: pendingPage }),
];
