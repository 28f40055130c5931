import { type Lsn, readLsn, writeLsn } from '@zenith/base';

/*
 * A layer file, little-endian. The same format holds delta layers (every value of its keys in an LSN range) and image layers (one image per key, at one
 * LSN). It is written once, front to back, and never changed.
 *
 *   ┌──────────────────────────┐ 0
 *   │ header, 8192 B           │ magic u32 'ZLYR' @0 | version u16 @4 | kind u8 @6 | 0 @7 | tenant 16 B @8 | timeline 16 B @24 | lsnStart u64 @40 |
 *   │                          │ lsnEnd u64 @48 | zeroes | crc32c of [0, 8188) u32 @8188
 *   ├──────────────────────────┤ 8192                 (pages of an image layer stay aligned to 8 KiB)
 *   │ data: chunks, in the     │ a chunk is a run of one key's values, LSNs ascending. A chunk of one value is the value's bytes alone. Otherwise each
 *   │ order of their entries   │ value is: lsn low u32 | lsn high, 21 bits | kind << 24 u32 | length u32 | bytes
 *   │                          │ A packed chunk is all that compressed: its length unpacked u32 | an lz4 block
 *   ├──────────────────────────┤ indexOffset
 *   │ index blocks, 8192 B:    │ one entry a chunk, sorted by (object, block, first LSN):
 *   │ up to 255 entries, 32 B  │ block u32 @0 | values u24 @4 | kind of the first value, + 128 if packed u8 @7 | first LSN u64 @8 | offset u64 @16 |
 *   │                          │ length in the file u32 @24 | crc32c of these bytes u32 @28.   Then number of the block u32 @8160 | zeroes | crc32c of [0, 8188) u32 @8188
 *   ├──────────────────────────┤ summaryOffset
 *   │ summary                  │ per object, 32 B: kind u8 @0 | fork u8 @1 | 0 u16 | spc u32 @4 | db u32 @8 | rel u32 @12 | first entry u32 @16 |
 *   │                          │ entries u32 @20 | first block u32 @24 | last block u32 @28, in key order
 *   │                          │ then per index block, 16 B: block u32 @0 | 0 u32 | LSN u64 @8 of its first entry: the fences
 *   ├──────────────────────────┤ fileBytes - 64
 *   │ footer, 64 B             │ magic u32 'ZLYF' @0 | objects u32 @4 | entries u32 @8 | index blocks u32 @12 | values u64 @16 | indexOffset u64 @24 |
 *   │                          │ summaryOffset u64 @32 | crc32c of the summary u32 @40 | bytes of all chunks, unpacked u64 @44 (version 1: 0) | zeroes |
 *   │                          │ crc32c of [0, 60) of the footer u32 @60
 *   └──────────────────────────┘
 *
 * A base value (image, zero page, init record) always begins a chunk, so that the index alone says where a read may stop.
 */

/** First bytes of a layer file, "ZLYR". */
export const LAYER_MAGIC = 0x5259_4c5a;
/** First bytes of its footer, "ZLYF". */
export const FOOTER_MAGIC = 0x4659_4c5a;
/** The format drawn above. Version 1 had no packed chunks and is read as well. */
export const LAYER_VERSION = 2;
/** The oldest version that is read. */
export const LAYER_VERSION_MIN = 1;
/** Size of the header. Unit: bytes. */
export const LAYER_HEADER_BYTES = 8192;
/** Size of the footer. Unit: bytes. */
export const LAYER_FOOTER_BYTES = 64;
/** Size of an index block. Unit: bytes. */
export const INDEX_BLOCK_BYTES = 8192;
/** Size of an index entry. Unit: bytes. */
export const INDEX_ENTRY_BYTES = 32;
/** Entries in a full index block. */
export const ENTRIES_PER_BLOCK = 255;
/** Where an index block holds its own number. */
export const INDEX_BLOCK_NUMBER_OFFSET = 8160;
/** Where header and index blocks hold their checksum: it covers what is before. */
export const BLOCK_CRC_OFFSET = 8188;
/** Size of an object in the summary. Unit: bytes. */
export const SUMMARY_OBJECT_BYTES = 32;
/** Size of a fence in the summary. Unit: bytes. */
export const SUMMARY_FENCE_BYTES = 16;
/** Size of the header of a value in a chunk of many. Unit: bytes. */
export const VALUE_HEADER_BYTES = 12;
/** A chunk is ended when it has grown to this, so that one read of history fetches little more than it needs. Unit: bytes. */
export const CHUNK_BYTES = 16 * 1024;
/** Most values in a chunk (u24 in the entry). */
export const CHUNK_VALUES_MAX = 0xff_ffff;

/** What a layer file holds: every value of an LSN range, or one image per key at one LSN. */
export const LayerKind = { delta: 0, image: 1 } as const;
/** One of {@link LayerKind}. */
export type LayerKind = (typeof LayerKind)[keyof typeof LayerKind];

/** One index entry, decoded in place. */
export class IndexEntry {
  block = 0;
  /** How many values the chunk has. */
  values = 0;
  /** Kind of the chunk's first value: a base, or none in the chunk is. */
  firstKind = 0;
  firstLsn = 0 as Lsn;
  /** Where the chunk begins in the file. Unit: bytes. */
  offset = 0;
  /** Length of the chunk in the file. Unit: bytes. */
  length = 0;
  /** CRC-32C of the chunk as it is in the file. */
  crc = 0;
  /** The chunk is compressed: `unpackedLength`, `unpackChunk`. */
  isPacked = false;
}

/** Flag of a packed chunk, beside the kind of its first value. */
const PACKED = 0x80;

/** Decodes the entry at `offset`. */
export function readIndexEntry(view: DataView, offset: number, into: IndexEntry): void {
  const word = view.getUint32(offset + 4, true);
  into.block = view.getUint32(offset, true);
  into.values = word & CHUNK_VALUES_MAX;
  into.firstKind = (word >>> 24) & ~PACKED;
  into.isPacked = ((word >>> 24) & PACKED) !== 0;
  into.firstLsn = readLsn(view, offset + 8);
  into.offset = readLsn(view, offset + 16);
  into.length = view.getUint32(offset + 24, true);
  into.crc = view.getUint32(offset + 28, true);
}

/** Encodes `entry` at `offset`. */
export function writeIndexEntry(view: DataView, offset: number, entry: IndexEntry): void {
  view.setUint32(offset, entry.block, true);
  view.setUint32(offset + 4, (((entry.firstKind | (entry.isPacked ? PACKED : 0)) << 24) | entry.values) >>> 0, true);
  writeLsn(view, offset + 8, entry.firstLsn);
  writeLsn(view, offset + 16, entry.offset as Lsn);
  view.setUint32(offset + 24, entry.length, true);
  view.setUint32(offset + 28, entry.crc, true);
}

/** One value of a chunk of many: its header, decoded in place. */
export class ValueHeader {
  lsn = 0 as Lsn;
  kind = 0;
  length = 0;
}

const LSN_HIGH_MASK = 0x1f_ffff;

/** Decodes the value header at `offset`. */
export function readValueHeader(view: DataView, offset: number, into: ValueHeader): void {
  const word = view.getUint32(offset + 4, true);
  into.lsn = ((word & LSN_HIGH_MASK) * 0x1_0000_0000 + view.getUint32(offset, true)) as Lsn;
  into.kind = word >>> 24;
  into.length = view.getUint32(offset + 8, true);
}

/** Encodes a value header at `offset`. */
export function writeValueHeader(view: DataView, offset: number, lsn: Lsn, kind: number, length: number): void {
  view.setUint32(offset, lsn % 0x1_0000_0000, true);
  view.setUint32(offset + 4, (Math.floor(lsn / 0x1_0000_0000) | (kind << 24)) >>> 0, true);
  view.setUint32(offset + 8, length, true);
}
