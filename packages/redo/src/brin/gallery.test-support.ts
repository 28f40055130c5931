import { RM_BRIN_ID, allocatePage, type RecordSpec } from '@zenith/pg-format';
import { NEW_PAGE, build, itemsOfBlocks, type GalleryItem } from '../gallery-item.test-support.ts';
import { block, pack, u16, u32 } from '../record-builder.test-support.ts';
import { BRIN_PAGETYPE_REVMAP, initBrinPage } from './page.ts';

function brin(info: number, mainData: Uint8Array, blocks: RecordSpec['blocks']): RecordSpec {
  return { rmid: RM_BRIN_ID, info, mainData, blocks: blocks ?? [] };
}

const PAGES_PER_RANGE = 4;
const tuple = (heapBlock: number, length = 24): Uint8Array =>
  pack(u32(heapBlock), new Uint8Array(length - 4).fill(heapBlock & 0xff));

/** An insertion of the summary of `heapBlock`. */
const insert = (heapBlock: number, offsetNumber: number): RecordSpec => {
  const init = offsetNumber === 1;
  return brin(init ? 0x90 : 0x10, pack(u32(heapBlock), u32(PAGES_PER_RANGE), u16(offsetNumber)), [
    block(0, 5, { willInit: init, data: tuple(heapBlock) }),
    block(1, 1),
  ]);
};
const update = (init: boolean): RecordSpec =>
  brin(init ? 0xa0 : 0x20, pack(u16(2), u16(0), u32(8), u32(PAGES_PER_RANGE), u16(init ? 1 : 5)), [
    block(0, 6, { willInit: init, data: tuple(8, 40) }),
    block(1, 1),
    block(2, 5),
  ]);
const createIndex = brin(0x00, pack(u32(PAGES_PER_RANGE), u16(1)), [block(0, 0, { willInit: true })]);

const regular = build(allocatePage(), ...[1, 2, 3, 4].map((offsetNumber) => insert(offsetNumber * 4, offsetNumber)));
const revmap = allocatePage();
initBrinPage(revmap, BRIN_PAGETYPE_REVMAP);
const meta = build(allocatePage(), createIndex);

/** One of each form of BRIN record. */
export const BRIN_GALLERY: readonly GalleryItem[] = [
  ...itemsOfBlocks('brin new index', createIndex, { 0: NEW_PAGE }),
  ...itemsOfBlocks('brin insert on a new page', insert(400, 1), { 0: NEW_PAGE, 1: revmap.bytes }),
  ...itemsOfBlocks('brin insert', insert(40, 5), { 0: regular }),
  ...itemsOfBlocks('brin update', update(false), { 0: regular, 1: revmap.bytes, 2: regular }),
  ...itemsOfBlocks('brin update to a new page', update(true), { 0: NEW_PAGE }),
  ...itemsOfBlocks('brin update in place', brin(0x30, pack(u16(2)), [block(0, 5, { data: tuple(8, 48) })]), {
    0: regular,
  }),
  ...itemsOfBlocks(
    'brin extension of the map',
    brin(0x40, pack(u32(2)), [block(0, 0), block(1, 2, { willInit: true })]),
    {
      0: meta,
      1: NEW_PAGE,
    },
  ),
  ...itemsOfBlocks(
    'brin desummarization',
    brin(0x50, pack(u32(PAGES_PER_RANGE), u32(12), u16(3)), [block(0, 1), block(1, 5)]),
    { 0: revmap.bytes, 1: regular },
  ),
];
