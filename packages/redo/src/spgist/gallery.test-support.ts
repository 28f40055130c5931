import { RM_SPGIST_ID, allocatePage, type Page, type RecordSpec } from '@zenith/pg-format';
import { NEW_PAGE, itemsOfBlocks, type GalleryItem } from '../gallery-item.test-support.ts';
import { putItem } from '../index-page/items.ts';
import { block, pack, u16, u32, u8 } from '../record-builder.test-support.ts';
import { countPlaceholders, countRedirections, initSpgistPage, leafPageFlags, spgistOpaque } from './page.ts';
import { SIZE_OF_DEAD_TUPLE, SPGIST_DEAD, SPGIST_PLACEHOLDER, SPGIST_REDIRECT } from './tuples.ts';

const XID = 900;

const spgist = (info: number, mainData: Uint8Array, blocks: RecordSpec['blocks']): RecordSpec => ({
  rmid: RM_SPGIST_ID,
  info,
  mainData,
  blocks: blocks ?? [],
});

/** A leaf tuple of `length` bytes that leads to heap tuple (key, 1). */
const leaf = (key: number, next: number, length = 24): Uint8Array =>
  pack(u32(length << 2), u16(next), u16(0), u16(key), u16(1), u32(key), new Uint8Array(length - 16));
/** An inner tuple with a prefix of 8 bytes and nodes of 16. */
const inner = (key: number, nodes: number): Uint8Array =>
  pack(
    u32((nodes << 3) | (8 << 16)),
    u16(16 + nodes * 16),
    u16(0),
    new Uint8Array(8).fill(key),
    ...Array.from({ length: nodes }, (_, i) => pack(u16(0), u16(50 + i), u16(1), u16(16), u32(i), u32(0))),
  );

/** A tuple of another state. */
const dead = (state: number): Uint8Array =>
  pack(
    u32(state | (SIZE_OF_DEAD_TUPLE << 2)),
    u16(0),
    u16(0),
    u16(9),
    u16(1),
    u32(state === SPGIST_REDIRECT ? XID : 0),
  );

function page(flags: number, ...tuples: readonly Uint8Array[]): Page {
  const made = allocatePage();
  initSpgistPage(made, flags);
  for (const [i, tuple] of tuples.entries()) putItem(made, tuple, 0, tuple.length, i + 1);
  return made;
}

// Two chains, 1 → 3 → 5 and 2 → 4 → 6; a dead tuple, a redirection and two placeholders.
const DEAD_TUPLE = 7;
const REDIRECTION = 8;
const PLACEHOLDER = 9;
const leafTuples = [1, 2, 3, 4, 5, 6].map((n) => leaf(n, n < 5 ? n + 2 : 0));
const leaves = page(
  leafPageFlags(false),
  ...leafTuples,
  ...[SPGIST_DEAD, SPGIST_REDIRECT, SPGIST_PLACEHOLDER, SPGIST_PLACEHOLDER].map(dead),
);
countRedirections(leaves, spgistOpaque(leaves), 1);
countPlaceholders(leaves, spgistOpaque(leaves), 2);
const leafPage = leaves.bytes;
const innerPage = page(0, inner(1, 2), inner(2, 3), inner(3, 2)).bytes;

const addLeaf = (offsetNumber: number, head: number, parent: number, newPage = 0): RecordSpec =>
  spgist(0x10, pack(u8(newPage), u8(0), u16(offsetNumber), u16(head), u16(parent), u16(1), leaf(20, 3, 32)), [
    block(0, 5, newPage === 0 ? {} : { willInit: true }),
    ...(parent === 0 ? [] : [block(1, 3)]),
  ]);
const moveLeafs = (isBuild: number): RecordSpec =>
  spgist(
    0x20,
    pack(
      u16(3),
      u8(1),
      u8(0),
      u8(0),
      u8(0),
      u16(1),
      u16(1),
      u16(0),
      u32(XID),
      u32(isBuild),
      ...[2, 6, 4, 1, 2, 3, 4].map(u16),
      leaf(2, 0),
      leaf(4, 1),
      leaf(6, 2, 32),
      leaf(8, 3),
    ),
    [block(0, 5), block(1, 6, { willInit: true }), block(2, 3)],
  );
const replaceDead = spgist(
  0x20,
  pack(
    u16(1),
    u8(0),
    u8(1),
    u8(0),
    u8(0),
    u16(1),
    u16(0),
    u16(0),
    u32(XID),
    u32(0),
    ...[DEAD_TUPLE, PLACEHOLDER].map(u16),
    leaf(8, 0),
  ),
  [block(0, 5), block(1, 6), block(2, 3)],
);
const addNode = (parentBlock: number, target: number, blocks: RecordSpec['blocks']): RecordSpec =>
  spgist(
    0x30,
    pack(
      u16(2),
      u16(target),
      u8(parentBlock === 2 ? 1 : 0),
      u8(parentBlock),
      u16(3),
      u16(1),
      u16(0),
      u32(XID),
      u32(0),
      inner(2, 4),
    ),
    blocks,
  );
const splitTuple = (samePage: number): RecordSpec =>
  spgist(0x40, pack(u16(2), u16(samePage === 0 ? 1 : 4), u8(1 - samePage), u8(samePage), inner(4, 1), inner(5, 3)), [
    block(0, 3),
    ...(samePage === 0 ? [block(1, 8, { willInit: true })] : []),
  ]);
const pickSplit = (parts: { root: number; initSource: number; innerIsParent: number; initInner: number }): RecordSpec =>
  spgist(
    0x50,
    pack(
      u8(parts.root),
      u8(0),
      u16(3),
      u16(4),
      u8(parts.initSource),
      u8(1),
      u16(parts.initInner === 1 ? 1 : 4),
      u8(parts.initInner),
      u8(0),
      u8(parts.innerIsParent),
      u8(0),
      u16(2),
      u16(1),
      u16(0),
      u32(XID),
      u32(0),
      // Three tuples leave; of the four new ones two take the places of placeholders and two go to the new page.
      ...[1, 3, 5].map(u16),
      ...[parts.initSource === 1 ? 1 : PLACEHOLDER, 1, parts.initSource === 1 ? 2 : PLACEHOLDER + 1, 2].map(u16),
      ...[0, 1, 0, 1].map(u8),
      inner(6, 3),
      leaf(1, 0),
      leaf(3, 0, 32),
      leaf(5, 0),
      leaf(7, 0),
    ),
    [
      ...(parts.root === 1 ? [] : [block(0, 5, parts.initSource === 1 ? { willInit: true } : {})]),
      block(1, 6, { willInit: true }),
      block(2, 3, parts.initInner === 1 ? { willInit: true } : {}),
      ...(parts.innerIsParent === 1 || parts.root === 1 ? [] : [block(3, 4)]),
    ],
  );
const plain = { root: 0, initSource: 0, innerIsParent: 0, initInner: 0 };

/** One of each form of SP-GiST records. */
export const SPGIST_GALLERY: readonly GalleryItem[] = [
  ...itemsOfBlocks('spgist leaf on a new page', addLeaf(1, 0, 0, 1), { 0: NEW_PAGE }),
  ...itemsOfBlocks('spgist leaf in a chain', addLeaf(PLACEHOLDER, 1, 0), { 0: leafPage }),
  ...itemsOfBlocks('spgist leaf at the end', addLeaf(11, 0, 2), { 0: leafPage, 1: innerPage }),
  ...itemsOfBlocks('spgist leaf in place of a dead one', addLeaf(DEAD_TUPLE, DEAD_TUPLE, 0), { 0: leafPage }),
  ...itemsOfBlocks('spgist move', moveLeafs(0), { 0: leafPage, 1: NEW_PAGE, 2: innerPage }),
  ...itemsOfBlocks('spgist move in a build', moveLeafs(1), { 0: leafPage }),
  ...itemsOfBlocks('spgist move of none', replaceDead, { 0: leafPage, 1: leafPage, 2: innerPage }),
  ...itemsOfBlocks('spgist node in place', addNode(0xff, 0, [block(0, 3)]), { 0: innerPage }),
  ...itemsOfBlocks('spgist node, parent beside the old tuple', addNode(0, 4, [block(0, 3), block(1, 8)]), {
    0: innerPage,
    1: innerPage,
  }),
  ...itemsOfBlocks('spgist node, parent beside the new tuple', addNode(1, 4, [block(0, 3), block(1, 8)]), {
    0: innerPage,
    1: innerPage,
  }),
  ...itemsOfBlocks(
    'spgist node, parent elsewhere',
    addNode(2, 1, [block(0, 3), block(1, 8, { willInit: true }), block(2, 9)]),
    { 0: innerPage, 1: NEW_PAGE, 2: innerPage },
  ),
  ...itemsOfBlocks('spgist tuple split', splitTuple(0), { 0: innerPage, 1: NEW_PAGE }),
  ...itemsOfBlocks('spgist tuple split within a page', splitTuple(1), { 0: innerPage }),
  ...itemsOfBlocks('spgist pick-split', pickSplit(plain), { 0: leafPage, 1: NEW_PAGE, 2: innerPage, 3: innerPage }),
  ...itemsOfBlocks('spgist pick-split beside the parent', pickSplit({ ...plain, innerIsParent: 1 }), { 2: innerPage }),
  ...itemsOfBlocks('spgist pick-split of the root', pickSplit({ ...plain, root: 1, initInner: 1 }), {
    1: NEW_PAGE,
    2: NEW_PAGE,
  }),
  ...itemsOfBlocks('spgist pick-split of a new page', pickSplit({ ...plain, initSource: 1 }), { 0: NEW_PAGE }),
  ...itemsOfBlocks(
    'spgist vacuum of a leaf',
    spgist(
      0x60,
      pack(
        u16(1),
        u16(1),
        u16(1),
        u16(1),
        u32(XID),
        u32(0),
        // 2, 4 and 6 as if they had been a chain each; the chain of 1 loses its head.
        ...[2, 6, 3, 1, 1, 5].map(u16),
      ),
      [block(0, 5)],
    ),
    { 0: leafPage },
  ),
  ...itemsOfBlocks(
    'spgist vacuum of a root',
    spgist(0x70, pack(u16(3), u16(0), u32(XID), u32(0), u16(1), u16(3), u16(6)), [block(0, 1)]),
    { 0: page(leafPageFlags(true), ...leafTuples).bytes },
  ),
  ...itemsOfBlocks(
    'spgist vacuum of redirections',
    spgist(0x80, pack(u16(1), u16(REDIRECTION), u32(XID), u8(0), u8(0), u16(REDIRECTION)), [block(0, 5)]),
    { 0: leafPage },
  ),
];
