import { assert, crc32c, writeLsn, type Lsn } from '@zenith/base';
import { BLCKSZ } from '../page/page.ts';
import {
  BKPBLOCK_HAS_DATA,
  BKPBLOCK_HAS_IMAGE,
  BKPBLOCK_SAME_REL,
  BKPBLOCK_WILL_INIT,
  BKPIMAGE_APPLY,
  BKPIMAGE_COMPRESSED,
  BKPIMAGE_HAS_HOLE,
  SIZE_OF_XLOG_RECORD,
  XLR_BLOCK_ID_DATA_LONG,
  XLR_BLOCK_ID_DATA_SHORT,
  XLR_BLOCK_ID_ORIGIN,
  XLR_BLOCK_ID_TOPLEVEL_XID,
} from './constants.ts';
import { XL_CRC, XL_INFO, XL_PREV, XL_RMID, XL_TOT_LEN, XL_XID } from './decode-record.ts';
import { XLR_MAX_BLOCK_ID } from './record.ts';

/** A full-page image to put in a record. */
export interface BlockImageSpec {
  /** The image's bytes without its hole, compressed if `compression` says so. Borrowed. */
  readonly bytes: Uint8Array;
  /** True when redo restores it, false when it only checks redo. */
  readonly apply: boolean;
  /** Start and length of the hole of zeroes that was left out; both 0 for none. Unit: bytes. */
  readonly holeOffset: number;
  readonly holeLength: number;
  /** One of the BKPIMAGE_COMPRESS bits; 0 for none. */
  readonly compression?: number;
}

/** A block reference to put in a record. */
export interface BlockSpec {
  readonly id: number;
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  readonly block: number;
  readonly willInit?: boolean;
  readonly image?: BlockImageSpec;
  /** The block's own data; at most 65535 bytes. Borrowed. */
  readonly data?: Uint8Array;
}

/** A WAL record to encode; what is left out is zero or absent. */
export interface RecordSpec {
  readonly rmid: number;
  /** xl_info, all eight bits. */
  readonly info: number;
  readonly xid?: number;
  readonly origin?: number;
  readonly topLevelXid?: number;
  /** In ascending order of their ids. */
  readonly blocks?: readonly BlockSpec[];
  /** Borrowed. */
  readonly mainData?: Uint8Array;
}

function imageHeaderLength(image: BlockImageSpec): number {
  return 5 + ((image.compression ?? 0) !== 0 && image.holeLength > 0 ? 2 : 0);
}

/** A block may leave its relation out when the one before has the same. */
function isSameRelation(block: BlockSpec, before: BlockSpec | undefined): boolean {
  return before !== undefined && before.spc === block.spc && before.db === block.db && before.rel === block.rel;
}

/** Length of the record that {@link encodeRecord} makes of `spec`. Unit: bytes. */
export function encodedLength(spec: RecordSpec): number {
  let length = SIZE_OF_XLOG_RECORD;
  let before: BlockSpec | undefined;
  for (const block of spec.blocks ?? []) {
    length += 4 + (isSameRelation(block, before) ? 0 : 12) + 4 + (block.data?.length ?? 0);
    if (block.image !== undefined) length += imageHeaderLength(block.image) + block.image.bytes.length;
    before = block;
  }
  if ((spec.origin ?? 0) !== 0) length += 3;
  if ((spec.topLevelXid ?? 0) !== 0) length += 5;
  const mainLength = spec.mainData?.length ?? 0;
  if (mainLength > 0) length += (mainLength > 255 ? 5 : 2) + mainLength;
  return length;
}

/**
 * A whole record with its CRC, in a buffer of its own; `prev` is where the record before it begins. Not for hot paths.
 * PG 15-18: XLogRecordAssemble(), xloginsert.c.
 */
export function encodeRecord(spec: RecordSpec, prev: Lsn): Uint8Array {
  const bytes = new Uint8Array(encodedLength(spec));
  const view = new DataView(bytes.buffer);
  view.setUint32(XL_TOT_LEN, bytes.length, true);
  view.setUint32(XL_XID, spec.xid ?? 0, true);
  writeLsn(view, XL_PREV, prev);
  view.setUint8(XL_INFO, spec.info);
  view.setUint8(XL_RMID, spec.rmid);

  let at = SIZE_OF_XLOG_RECORD;
  let before: BlockSpec | undefined;
  for (const block of spec.blocks ?? []) {
    assert(
      block.id >= 0 && block.id <= XLR_MAX_BLOCK_ID && (before === undefined || block.id > before.id),
      'encodeRecord: block ids ascend from 0 to 32',
    );
    at = writeBlockHeader(view, at, block, isSameRelation(block, before));
    before = block;
  }
  if ((spec.origin ?? 0) !== 0) {
    view.setUint8(at, XLR_BLOCK_ID_ORIGIN);
    view.setUint16(at + 1, spec.origin ?? 0, true);
    at += 3;
  }
  if ((spec.topLevelXid ?? 0) !== 0) {
    view.setUint8(at, XLR_BLOCK_ID_TOPLEVEL_XID);
    view.setUint32(at + 1, spec.topLevelXid ?? 0, true);
    at += 5;
  }
  const mainData = spec.mainData ?? new Uint8Array(0);
  if (mainData.length > 255) {
    view.setUint8(at, XLR_BLOCK_ID_DATA_LONG);
    view.setUint32(at + 1, mainData.length, true);
    at += 5;
  } else if (mainData.length > 0) {
    view.setUint8(at, XLR_BLOCK_ID_DATA_SHORT);
    view.setUint8(at + 1, mainData.length);
    at += 2;
  }
  for (const block of spec.blocks ?? []) {
    if (block.image !== undefined) {
      bytes.set(block.image.bytes, at);
      at += block.image.bytes.length;
    }
    if (block.data !== undefined) {
      bytes.set(block.data, at);
      at += block.data.length;
    }
  }
  bytes.set(mainData, at);
  sealRecord(bytes, view, 0, bytes.length);
  return bytes;
}

/** Computes and stores the CRC of the contiguous record at `bytes[offset, offset + length)`. */
export function sealRecord(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
  const body = crc32c(bytes, offset + SIZE_OF_XLOG_RECORD, offset + length);
  view.setUint32(offset + XL_CRC, crc32c(bytes, offset, offset + XL_CRC, body), true);
}

function writeBlockHeader(view: DataView, start: number, block: BlockSpec, sameRelation: boolean): number {
  const dataLength = block.data?.length ?? 0;
  assert(dataLength <= 0xffff, 'encodeRecord: block data of at most 65535 bytes');
  let flags = block.fork;
  if (block.willInit === true) flags |= BKPBLOCK_WILL_INIT;
  if (block.image !== undefined) flags |= BKPBLOCK_HAS_IMAGE;
  if (dataLength > 0) flags |= BKPBLOCK_HAS_DATA;
  if (sameRelation) flags |= BKPBLOCK_SAME_REL;
  view.setUint8(start, block.id);
  view.setUint8(start + 1, flags);
  view.setUint16(start + 2, dataLength, true);
  let at = start + 4;
  if (block.image !== undefined) at = writeImageHeader(view, at, block.image);
  if (!sameRelation) {
    view.setUint32(at, block.spc, true);
    view.setUint32(at + 4, block.db, true);
    view.setUint32(at + 8, block.rel, true);
    at += 12;
  }
  view.setUint32(at, block.block, true);
  return at + 4;
}

function writeImageHeader(view: DataView, at: number, image: BlockImageSpec): number {
  const compression = image.compression ?? 0;
  assert((compression & ~BKPIMAGE_COMPRESSED) === 0, 'encodeRecord: a compression bit');
  assert(
    compression !== 0 || image.bytes.length + image.holeLength === BLCKSZ,
    'encodeRecord: image and hole make a page',
  );
  view.setUint16(at, image.bytes.length, true);
  view.setUint16(at + 2, image.holeOffset, true);
  view.setUint8(
    at + 4,
    compression | (image.holeLength > 0 ? BKPIMAGE_HAS_HOLE : 0) | (image.apply ? BKPIMAGE_APPLY : 0),
  );
  if (compression !== 0 && image.holeLength > 0) view.setUint16(at + 5, image.holeLength, true);
  return at + imageHeaderLength(image);
}
