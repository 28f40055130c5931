import {
  RM_BTREE_ID,
  RM_GENERIC_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_SEQ_ID,
  allocatePage,
  type RecordSpec,
} from '@zenith/pg-format';
import { BRIN_GALLERY } from './brin/gallery.test-support.ts';
import { build as buildOn, type GalleryItem } from './gallery-item.test-support.ts';
import { GIN_GALLERY } from './gin/gallery.test-support.ts';
import { GIST_GALLERY } from './gist/gallery.test-support.ts';
import { HASH_GALLERY } from './hash/gallery.test-support.ts';
import { block, pack, u16, u32, u8 } from './record-builder.test-support.ts';
import { SPGIST_GALLERY } from './spgist/gallery.test-support.ts';

const XID = 1000;

/** Applies records to a new page, one after the other. */
const build = (...specs: readonly RecordSpec[]): Uint8Array => buildOn(allocatePage(), ...specs);

// Heap: tuples of an int4 and some text, header 24 bytes.
const heapHeader = pack(u16(2), u16(0x0902), u8(24));
const heapData = (n: number): Uint8Array =>
  pack(u8(0), u32(n), new TextEncoder().encode('some text of the tuple'.slice(0, 10 + (n % 12))));

function heapInsert(offsetNumber: number, flags = 0): RecordSpec {
  const init = offsetNumber === 1;
  return {
    rmid: RM_HEAP_ID,
    info: init ? 0x80 : 0x00,
    xid: XID,
    mainData: pack(u16(offsetNumber), u8(flags)),
    blocks: [block(0, 7, { willInit: init, data: pack(heapHeader, heapData(offsetNumber)) })],
  };
}

const heapPage = build(...[1, 2, 3, 4, 5, 6, 7].map((offsetNumber) => heapInsert(offsetNumber)));

function heapUpdate(info: number, blocks: RecordSpec['blocks'], flags: number): RecordSpec {
  return {
    rmid: RM_HEAP_ID,
    info,
    xid: XID + 1,
    mainData: pack(u32(XID + 1), u16(2), u8(0), u8(flags), u32(0), u16(8)),
    blocks: blocks ?? [],
  };
}

const lockData = pack(u32(XID + 2), u16(3), u8(0x04), u8(0));
const deleteRecord: RecordSpec = {
  rmid: RM_HEAP_ID,
  info: 0x10,
  xid: XID + 1,
  mainData: pack(u32(XID + 1), u16(4), u8(0x10), u8(0x01)),
  blocks: [block(0, 7)],
};
const multiTuple = (n: number): Uint8Array => {
  const data = heapData(n);
  return pack(u16(data.length), heapHeader, data, ...(data.length % 2 === 0 ? [u8(0)] : []));
};
const lastMultiTuple = pack(u16(heapData(3).length), heapHeader, heapData(3));

const heapItems: GalleryItem[] = [
  { name: 'heap insert on a new page', spec: heapInsert(1), blockIndex: 0, page: heapPage },
  { name: 'heap insert', spec: heapInsert(8, 0x01), blockIndex: 0, page: heapPage },
  { name: 'heap delete', spec: deleteRecord, blockIndex: 0, page: heapPage },
  {
    name: 'heap delete of a speculative insertion',
    spec: { ...deleteRecord, mainData: pack(u32(0), u16(4), u8(0), u8(0x08)) },
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap update with prefix and suffix',
    blockIndex: 0,
    page: heapPage,
    spec: heapUpdate(
      0x40,
      [block(0, 7, { data: pack(u16(3), u16(4), heapHeader, u8(0), new TextEncoder().encode('new')) })],
      0x60,
    ),
  },
  {
    name: 'heap update, new page',
    spec: heapUpdate(0x20, [block(0, 9, { data: pack(heapHeader, heapData(5)) }), block(1, 7)], 0x03),
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap update, old page',
    spec: heapUpdate(0x20, [block(0, 9, { data: pack(heapHeader, heapData(5)) }), block(1, 7)], 0x03),
    blockIndex: 1,
    page: heapPage,
  },
  {
    name: 'heap lock',
    spec: { rmid: RM_HEAP_ID, info: 0x60, xid: XID + 2, mainData: lockData, blocks: [block(0, 7)] },
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap lock of an updated row',
    spec: { rmid: RM_HEAP2_ID, info: 0x60, xid: XID + 2, mainData: lockData, blocks: [block(0, 7)] },
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap in-place update',
    spec: {
      rmid: RM_HEAP_ID,
      info: 0x70,
      mainData: pack(u16(2)),
      blocks: [block(0, 7, { data: heapData(2).subarray(1) })],
    },
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap confirmation',
    spec: { rmid: RM_HEAP_ID, info: 0x50, mainData: pack(u16(2)), blocks: [block(0, 7)] },
    blockIndex: 0,
    page: heapPage,
  },
  {
    name: 'heap multi-insert on a new page',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0xd0,
      xid: XID,
      mainData: pack(u8(0x20), u8(0), u16(3)),
      blocks: [block(0, 8, { willInit: true, data: pack(multiTuple(1), multiTuple(2), lastMultiTuple) })],
    },
  },
  {
    name: 'heap multi-insert',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x50,
      xid: XID,
      mainData: pack(u8(0x01), u8(0), u16(3), u16(8), u16(9), u16(10)),
      blocks: [block(0, 7, { data: pack(multiTuple(1), multiTuple(2), lastMultiTuple) })],
    },
  },
  {
    name: 'heap prune and freeze',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x20,
      mainData: pack(u8(0), u8(0x04 | 0xf0 | 0x08), u32(XID)),
      blocks: [
        block(0, 7, {
          data: pack(
            u16(2),
            u16(0),
            u32(0),
            u16(2),
            u16(0x0b02),
            u8(0),
            u8(0),
            u16(1),
            u32(0),
            u16(2),
            u16(0x0902),
            u8(2),
            u8(0),
            u16(1),
            u16(1),
            u16(1),
            u16(3),
            u16(1),
            u16(2),
            u16(2),
            u16(4),
            u16(7),
            u16(5),
            u16(6),
          ),
        }),
      ],
    },
  },
  {
    name: 'heap vacuum',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x30,
      mainData: pack(u8(0), u8(0x80)),
      blocks: [block(0, 7, { data: pack(u16(2), u16(6), u16(7)) })],
    },
  },
  {
    name: 'heap prune of 15',
    blockIndex: 0,
    page: heapPage,
    major: 15,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x10,
      mainData: pack(u32(XID), u16(1), u16(2)),
      blocks: [block(0, 7, { data: pack(u16(3), u16(1), u16(2), u16(4), u16(7), u16(6)) })],
    },
  },
  {
    name: 'heap prune of 16',
    blockIndex: 0,
    page: heapPage,
    major: 16,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x10,
      mainData: pack(u32(XID), u16(1), u16(0), u8(1)),
      blocks: [block(0, 7, { data: pack(u16(3), u16(1)) })],
    },
  },
  {
    name: 'heap vacuum of 15',
    blockIndex: 0,
    page: heapPage,
    major: 15,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x20,
      mainData: pack(u16(2)),
      blocks: [block(0, 7, { data: pack(u16(6), u16(7)) })],
    },
  },
  {
    name: 'heap freeze of 15',
    blockIndex: 0,
    page: heapPage,
    major: 15,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x30,
      mainData: pack(u32(XID), u16(2)),
      blocks: [
        block(0, 7, {
          data: pack(
            pack(u32(0), u16(3), u16(2), u16(0x0b02), u8(0x02), u8(0)),
            pack(u32(5), u16(1), u16(2), u16(0x0902), u8(0x04), u8(0)),
          ),
        }),
      ],
    },
  },
  {
    name: 'heap freeze of 16',
    blockIndex: 0,
    page: heapPage,
    major: 16,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x30,
      mainData: pack(u32(XID), u16(2), u8(0)),
      blocks: [
        block(0, 7, {
          data: pack(
            pack(u32(0), u16(2), u16(0x0b02), u8(0x02), u8(0), u16(2)),
            pack(u32(5), u16(2), u16(0x0902), u8(0x04), u8(0), u16(1)),
            pack(u16(3), u16(2), u16(1)),
          ),
        }),
      ],
    },
  },
  {
    name: 'visible, map',
    blockIndex: 0,
    page: allocatePage().bytes,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x40,
      mainData: pack(u32(XID), u8(3)),
      blocks: [block(0, 0, { fork: 2 }), block(1, 7)],
    },
  },
  {
    name: 'visible, heap',
    blockIndex: 1,
    page: heapPage,
    spec: {
      rmid: RM_HEAP2_ID,
      info: 0x40,
      mainData: pack(u32(XID), u8(3)),
      blocks: [block(0, 0, { fork: 2 }), block(1, 7)],
    },
  },
];

// Btree: tuples of one int4, 16 bytes; t_tid as two halves of the block number and an offset number.
const indexTuple = (key: number, heapBlock: number, offsetNumber: number): Uint8Array =>
  pack(u16(0), u16(heapBlock), u16(offsetNumber), u16(16), u32(key), u32(0));
const posting = (key: number, tids: readonly number[]): Uint8Array => {
  const length = (16 + tids.length * 6 + 7) & ~7;
  const tail = tids.map((tid) => pack(u16(0), u16(tid), u16(1)));
  return pack(
    u16(0),
    u16(16),
    u16(tids.length | 0x2000),
    u16(length | 0x2000),
    u32(key),
    u32(0),
    ...tail,
    new Uint8Array(length - 16 - tids.length * 6),
  );
};
const meta = pack(u32(4), u32(3), u32(1), u32(3), u32(1), u32(0), u8(1), new Uint8Array(3));
const newRoot = (level: number, tuples: readonly Uint8Array[]): RecordSpec => ({
  rmid: RM_BTREE_ID,
  info: 0xa0,
  mainData: pack(u32(3), u32(level)),
  blocks: [
    block(0, 3, { willInit: true, ...(level > 0 ? { data: pack(...[...tuples].reverse()) } : {}) }),
    ...(level > 0 ? [block(1, 1)] : []),
    block(2, 0, { willInit: true, data: meta }),
  ],
});
const leafInsert = (offsetNumber: number, tuple: Uint8Array): RecordSpec => ({
  rmid: RM_BTREE_ID,
  info: 0x00,
  mainData: pack(u16(offsetNumber)),
  blocks: [block(0, 3, { data: tuple })],
});

const leafPage = build(
  newRoot(0, []),
  ...[1, 2, 3, 4, 5, 6].map((n) => leafInsert(n, indexTuple(n < 4 ? 10 : n * 10, n * 2, 1))),
);
const postingPage = build(
  newRoot(0, []),
  leafInsert(1, indexTuple(5, 1, 1)),
  leafInsert(2, posting(10, [2, 4, 6, 8, 10])),
  leafInsert(3, posting(20, [3, 5])),
  leafInsert(4, indexTuple(30, 9, 1)),
);
const innerPage = build(
  newRoot(1, [
    pack(u16(0), u16(1), u16(0), u16(0x2008)),
    indexTuple(10, 2, 1),
    indexTuple(20, 4, 1),
    indexTuple(30, 5, 1),
  ]),
);

const split = (info: number, level: number, posting_: number, data: Uint8Array): RecordSpec => ({
  rmid: RM_BTREE_ID,
  info,
  mainData: pack(u32(level), u16(4), u16(3), u16(posting_)),
  blocks: [
    block(0, 3, { data }),
    block(1, 6, { willInit: true, data: pack(indexTuple(60, 12, 1), indexTuple(50, 10, 1), indexTuple(40, 8, 1)) }),
    block(2, 5),
    ...(level > 0 ? [block(3, 2)] : []),
  ],
});
const highKey = indexTuple(40, 8, 1);
const unlink = (info: number): RecordSpec => ({
  rmid: RM_BTREE_ID,
  info,
  mainData: pack(u32(2), u32(5), u32(1), u32(0), u32(700), u32(0), u32(8), u32(9), u32(0xffffffff)),
  blocks: [
    block(0, 3, { willInit: true }),
    block(1, 2),
    block(2, 5),
    block(3, 4, { willInit: true }),
    ...(info === 0x90 ? [block(4, 0, { willInit: true, data: meta })] : []),
  ],
});
const halfDead: RecordSpec = {
  rmid: RM_BTREE_ID,
  info: 0xb0,
  mainData: pack(u16(2), u16(0), u32(3), u32(2), u32(5), u32(0xffffffff)),
  blocks: [block(0, 3, { willInit: true }), block(1, 4)],
};

const btreeItems: GalleryItem[] = [
  { name: 'btree new leaf root', spec: newRoot(0, []), blockIndex: 0, page: leafPage },
  {
    name: 'btree new root',
    spec: newRoot(1, [indexTuple(1, 1, 1), indexTuple(9, 2, 1)]),
    blockIndex: 0,
    page: leafPage,
  },
  { name: 'btree new root, child', spec: newRoot(1, [indexTuple(1, 1, 1)]), blockIndex: 1, page: leafPage },
  { name: 'btree new root, meta page', spec: newRoot(1, [indexTuple(1, 1, 1)]), blockIndex: 2, page: leafPage },
  { name: 'btree leaf insert', spec: leafInsert(3, indexTuple(10, 5, 1)), blockIndex: 0, page: leafPage },
  ...[0, 1, 2].map((blockIndex): GalleryItem => ({
    name: `btree upper insert with meta page, block ${blockIndex}`,
    blockIndex,
    page: innerPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0x20,
      mainData: pack(u16(3)),
      blocks: [block(0, 3, { data: indexTuple(15, 6, 1) }), block(1, 2), block(2, 0, { willInit: true, data: meta })],
    },
  })),
  ...[0, 1, 2, 3].map((blockIndex): GalleryItem => ({
    name: `btree inner split, new tuple left, block ${blockIndex}`,
    blockIndex,
    page: leafPage,
    spec: split(0x30, 1, 0, pack(indexTuple(10, 5, 1), highKey)),
  })),
  { name: 'btree split, new tuple right', blockIndex: 0, page: leafPage, spec: split(0x40, 0, 0, highKey) },
  {
    name: 'btree split of a posting list',
    blockIndex: 0,
    page: postingPage,
    spec: split(0x30, 0, 2, pack(indexTuple(10, 5, 1), highKey)),
  },
  {
    name: 'btree insert into a posting list',
    blockIndex: 0,
    page: postingPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0x50,
      mainData: pack(u16(3)),
      blocks: [block(0, 3, { data: pack(u16(2), indexTuple(10, 5, 1)) })],
    },
  },
  {
    name: 'btree deduplication',
    blockIndex: 0,
    page: leafPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0x60,
      mainData: pack(u16(1)),
      blocks: [block(0, 3, { data: pack(u16(1), u16(3)) })],
    },
  },
  {
    name: 'btree deduplication of posting lists',
    blockIndex: 0,
    page: postingPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0x60,
      mainData: pack(u16(1)),
      blocks: [block(0, 3, { data: pack(u16(2), u16(2)) })],
    },
  },
  {
    name: 'btree vacuum',
    blockIndex: 0,
    page: postingPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0xc0,
      mainData: pack(u16(1), u16(2)),
      blocks: [block(0, 3, { data: pack(u16(4), u16(2), u16(3), u16(2), u16(0), u16(3), u16(1), u16(1)) })],
    },
  },
  {
    name: 'btree delete of many',
    blockIndex: 0,
    page: leafPage,
    spec: {
      rmid: RM_BTREE_ID,
      info: 0x70,
      mainData: pack(u32(XID), u16(4), u16(0), u8(0)),
      blocks: [block(0, 3, { data: pack(u16(1), u16(3), u16(4), u16(6)) })],
    },
  },
  ...[0, 1].map((blockIndex): GalleryItem => ({
    name: `btree half-dead, block ${blockIndex}`,
    blockIndex,
    page: innerPage,
    spec: halfDead,
  })),
  ...[0, 1, 2, 3, 4].map((blockIndex): GalleryItem => ({
    name: `btree unlink with meta page, block ${blockIndex}`,
    blockIndex,
    page: leafPage,
    spec: unlink(0x90),
  })),
  {
    name: 'btree meta cleanup',
    blockIndex: 0,
    page: leafPage,
    spec: { rmid: RM_BTREE_ID, info: 0xe0, blocks: [block(0, 0, { willInit: true, data: meta })] },
  },
];

const otherItems: GalleryItem[] = [
  {
    name: 'sequence',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_SEQ_ID,
      info: 0,
      mainData: pack(u32(1663), u32(5), u32(16384), new Uint8Array(41).fill(3)),
      blocks: [block(0, 0, { willInit: true })],
    },
  },
  {
    name: 'generic',
    blockIndex: 0,
    page: heapPage,
    spec: {
      rmid: RM_GENERIC_ID,
      info: 0,
      blocks: [block(0, 7, { data: pack(u16(8000), u16(5), new Uint8Array(5).fill(9), u16(10), u16(2), u16(1)) })],
    },
  },
];

/** One of each. */
export const GALLERY: readonly GalleryItem[] = [
  ...heapItems,
  ...btreeItems,
  ...otherItems,
  ...GIN_GALLERY,
  ...BRIN_GALLERY,
  ...GIST_GALLERY,
  ...SPGIST_GALLERY,
  ...HASH_GALLERY,
];
