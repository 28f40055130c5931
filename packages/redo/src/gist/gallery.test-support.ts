import { RM_GIST_ID, allocatePage, type Page, type RecordSpec } from '@zenith/pg-format';
import { NEW_PAGE, build, itemsOfBlocks, type GalleryItem } from '../gallery-item.test-support.ts';
import { block, pack, u16, u32, u8 } from '../record-builder.test-support.ts';
import { F_FOLLOW_RIGHT, F_HAS_GARBAGE, F_LEAF, changeGistFlags, gistOpaque, initGistPage } from './page.ts';

/** A tuple of an int4 and padding: 16 bytes. */
const tuple = (key: number, child: number): Uint8Array =>
  pack(u16(0), u16(child), u16(0xffff), u16(16), u32(key), u32(0));

const gist = (info: number, mainData: Uint8Array, blocks: RecordSpec['blocks']): RecordSpec => ({
  rmid: RM_GIST_ID,
  info,
  mainData,
  blocks: blocks ?? [],
});

function emptyPage(flags: number): Page {
  const page = allocatePage();
  initGistPage(page, flags);
  return page;
}

const update = (deleted: readonly number[], inserted: readonly Uint8Array[], child = false): RecordSpec =>
  gist(0x00, pack(u16(deleted.length), u16(inserted.length)), [
    block(0, 3, { data: pack(...deleted.map(u16), ...inserted) }),
    ...(child ? [block(1, 7)] : []),
  ]);
const tuples = [1, 2, 3, 4, 5, 6].map((n) => tuple(n * 10, n));
const leaf = build(emptyPage(F_LEAF | F_HAS_GARBAGE), update([], tuples));
const inner = build(emptyPage(0), update([], tuples));
const splitChild = emptyPage(F_LEAF);
changeGistFlags(splitChild, gistOpaque(splitChild), F_FOLLOW_RIGHT, 0);

const split = (first: number, child: boolean): RecordSpec =>
  gist(0x30, pack(u32(44), u32(0), u32(0x1234), u32(1), u8(1), u8(0), u16(3), u8(1), new Uint8Array(3)), [
    ...(child ? [block(0, 7)] : []),
    block(1, first, { willInit: true, data: pack(u32(2), tuple(1, 1), tuple(2, 2)) }),
    block(2, 8, { willInit: true, data: pack(u32(1), tuple(3, 3)) }),
    block(3, 9, { willInit: true, data: pack(u32(2), tuple(4, 4), tuple(5, 5)) }),
  ]);
const newPages = { 1: NEW_PAGE, 2: NEW_PAGE, 3: NEW_PAGE };

/** One of each form of GiST records. */
export const GIST_GALLERY: readonly GalleryItem[] = [
  ...itemsOfBlocks('gist insert that completes a split', update([], [tuple(70, 7), tuple(80, 8)], true), {
    0: inner,
    1: splitChild.bytes,
  }),
  ...itemsOfBlocks('gist replacement in place', update([3], [tuple(33, 3)]), { 0: inner }),
  ...itemsOfBlocks('gist replacement', update([3], [tuple(33, 3), tuple(34, 9)]), { 0: inner }),
  ...itemsOfBlocks('gist vacuum', update([1, 3, 5], []), { 0: leaf }),
  ...itemsOfBlocks(
    'gist delete',
    gist(0x10, pack(u32(700), u16(3), u8(0), u8(0), u16(2), u16(3), u16(6)), [block(0, 3)]),
    {
      0: leaf,
    },
  ),
  ...itemsOfBlocks('gist split', split(3, true), { 0: splitChild.bytes, ...newPages }),
  ...itemsOfBlocks('gist split of the root', split(0, false), newPages),
  ...itemsOfBlocks('gist page deletion', gist(0x60, pack(u32(800), u32(2), u16(4)), [block(0, 3), block(1, 4)]), {
    0: emptyPage(F_LEAF).bytes,
    1: inner,
  }),
];
