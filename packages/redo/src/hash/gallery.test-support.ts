import { RM_HASH_ID, allocatePage, type RecordSpec } from '@zenith/pg-format';
import { NEW_PAGE, build, itemsOfBlocks, type GalleryItem } from '../gallery-item.test-support.ts';
import { block, pack, u16, u32, u8 } from '../record-builder.test-support.ts';
import { LH_BUCKET_PAGE, LH_OVERFLOW_PAGE, LH_PAGE_HAS_DEAD_TUPLES, initHashPage } from './page.ts';

const hash = (info: number, mainData: Uint8Array, blocks: RecordSpec['blocks']): RecordSpec => ({
  rmid: RM_HASH_ID,
  info,
  mainData,
  blocks: blocks ?? [],
});
const float = (value: number): Uint8Array => new Uint8Array(new Float64Array([value]).buffer);
/** A tuple of a hash value, 16 bytes. */
const tuple = (key: number): Uint8Array => pack(u16(0), u16(key), u16(1), u16(16), u32(key), u32(0));

const initMeta = (count: number): RecordSpec =>
  hash(0x00, pack(float(count), u32(450), u16(307)), [block(0, 0, { willInit: true })]);
const initBitmap = hash(0x10, pack(u16(4096)), [block(0, 3, { willInit: true }), block(1, 0)]);
const meta = build(allocatePage(), initMeta(5000));
const bitmap = build(allocatePage(), initBitmap);

const insert = (offsetNumber: number, key: number): RecordSpec =>
  hash(0x20, pack(u16(offsetNumber)), [block(0, 2, { data: tuple(key) }), block(1, 0)]);
function bucket(flag: number): Uint8Array {
  const page = allocatePage();
  initHashPage(page, 3, 1, flag);
  return build(page, ...[1, 2, 3, 4, 5].map((n) => insert(n, n * 10)));
}
const bucketPage = bucket(LH_BUCKET_PAGE | LH_PAGE_HAS_DEAD_TUPLES);
const overflowPage = bucket(LH_OVERFLOW_PAGE);

const addOverflow = (found: number): RecordSpec =>
  hash(0x30, pack(u16(4096), u8(found)), [
    block(0, 9, { willInit: true, data: pack(u32(1)) }),
    block(1, 2),
    block(2, 3, { data: pack(u32(77)) }),
    block(3, 10, { willInit: true }),
    block(4, 0, { data: pack(u32(78)) }),
  ]);
const allocateSplit = (flags: number): RecordSpec =>
  hash(0x40, pack(u32(4), u16(0x22), u16(0x12), u8(flags)), [
    block(0, 1),
    block(1, 5, { willInit: true }),
    block(2, 0, {
      data: pack(...((flags & 1) === 0 ? [] : [u32(3), u32(7)]), ...((flags & 2) === 0 ? [] : [u32(3), u32(2)])),
    }),
  ]);
const moved = pack(u16(2), u16(3), tuple(11), tuple(12));
const squeeze = (isPrev: number): RecordSpec =>
  hash(0x80, pack(u32(2), u32(11), u16(2), u8(0), u8(isPrev)), [
    block(0, 1),
    block(1, 2, { data: moved }),
    block(2, 9),
    block(3, 8),
    block(4, 11),
    block(5, 3, { data: pack(u32(77)) }),
    block(6, 0, { data: pack(u32(77)) }),
  ]);

/** One of each form of hash records that changes a page. */
export const HASH_GALLERY: readonly GalleryItem[] = [
  ...itemsOfBlocks('hash meta page', initMeta(5000), { 0: NEW_PAGE }),
  ...itemsOfBlocks('hash meta page of a small index', initMeta(0), { 0: NEW_PAGE }),
  ...itemsOfBlocks('hash bitmap', initBitmap, { 0: NEW_PAGE, 1: meta }),
  ...itemsOfBlocks('hash insert', insert(3, 25), { 0: bucketPage, 1: meta }),
  ...itemsOfBlocks('hash overflow page', addOverflow(0), {
    0: NEW_PAGE,
    1: bucketPage,
    2: bitmap,
    3: NEW_PAGE,
    4: meta,
  }),
  ...itemsOfBlocks('hash overflow page that was free', addOverflow(1), { 4: meta }),
  ...itemsOfBlocks('hash split', allocateSplit(3), { 0: bucketPage, 1: NEW_PAGE, 2: meta }),
  ...itemsOfBlocks('hash split that begins a splitpoint', allocateSplit(2), { 2: meta }),
  ...itemsOfBlocks('hash split, complete', hash(0x60, pack(u16(0x42), u16(0x02)), [block(0, 1), block(1, 5)]), {
    0: bucketPage,
    1: bucketPage,
  }),
  ...itemsOfBlocks(
    'hash move',
    hash(0x70, pack(u16(2), u8(0)), [
      block(0, 1),
      block(1, 2, { data: moved }),
      block(2, 9, { data: pack(u16(1), u16(4)) }),
    ]),
    { 1: overflowPage, 2: overflowPage },
  ),
  ...itemsOfBlocks('hash squeeze', squeeze(0), {
    1: overflowPage,
    2: overflowPage,
    3: overflowPage,
    4: overflowPage,
    5: bitmap,
    6: meta,
  }),
  ...itemsOfBlocks('hash squeeze to the page before', squeeze(1), { 1: overflowPage }),
  ...itemsOfBlocks(
    'hash delete',
    hash(0x90, pack(u8(1), u8(0)), [block(0, 1), block(1, 2, { data: pack(u16(1), u16(2), u16(5)) })]),
    { 1: bucketPage },
  ),
  ...itemsOfBlocks('hash split cleanup', hash(0xa0, new Uint8Array(0), [block(0, 1)]), { 0: bucketPage }),
  ...itemsOfBlocks('hash number of tuples', hash(0xb0, float(1234), [block(0, 0)]), { 0: meta }),
  ...itemsOfBlocks(
    'hash vacuum of a page',
    hash(0xc0, pack(u32(700), u16(2), u8(0), u8(0), u16(2), u16(4)), [block(0, 2), block(1, 0)]),
    { 0: bucketPage, 1: meta },
  ),
];
