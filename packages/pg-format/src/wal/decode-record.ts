import { CorruptionError, formatLsn, readLsn, type Lsn } from '@zenith/base';
import { BLCKSZ } from '../page/page.ts';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import type { VersionFormat } from '../versions/version-format.ts';
import {
  BKPBLOCK_FORK_MASK,
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
import { XLR_MAX_BLOCK_ID, type BlockReference, type WalRecord } from './record.ts';

// XLogRecord, 24 bytes: xl_tot_len u32 @0, xl_xid u32 @4, xl_prev u64 @8, xl_info u8 @16, xl_rmid u8 @17, zero u16 @18, xl_crc u32 @20.
// Then headers without padding, each led by an id byte:
//   0..32  block:     flags u8, data length u16; with an image: length u16, hole offset u16, bimg_info u8, and if compressed with a hole its
//                     length u16; unless SAME_REL: spc u32, db u32, rel u32; block u32
//   252    top xid:   u32
//   253    origin:    u16
//   255    main data: length u8, always last;  254: length u32
// then for each block its image and its data, then the main data.  PG 15-18: xlogrecord.h
/** Offset of xl_tot_len in the record header. */
export const XL_TOT_LEN = 0;
/** Offset of xl_xid in the record header. */
export const XL_XID = 4;
/** Offset of xl_prev in the record header. */
export const XL_PREV = 8;
/** Offset of xl_info in the record header. */
export const XL_INFO = 16;
/** Offset of xl_rmid in the record header. */
export const XL_RMID = 17;
/** Offset of xl_crc in the record header. */
export const XL_CRC = 20;

function corrupt(into: WalRecord, what: string): CorruptionError {
  return new CorruptionError(`WAL record at ${formatLsn(into.lsn)}: ${what}`);
}

function shortData(into: WalRecord): CorruptionError {
  return corrupt(into, `its parts do not add up to its length of ${into.totalLength} bytes`);
}

/**
 * Decodes the contiguous record that begins at `bytes[offset]` into `into`, which from then on borrows `bytes` and `view` (a view over exactly
 * the same bytes). Checks that every part lies inside the record and that image and data flags agree; checks no CRC.
 * PG 15-18: DecodeXLogRecord(), xlogreader.c.
 * @param lsn where the record begins in the WAL, INVALID_LSN when it is not known
 * @param endLsn the first byte after it as PostgreSQL counts, see {@link WalRecord.endLsn}
 * @throws CorruptionError when anything does not add up; `into` is then of no use
 */
export function decodeRecord(
  major: PgMajor,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  lsn: Lsn,
  endLsn: Lsn,
  into: WalRecord,
): void {
  into.lsn = lsn;
  into.endLsn = endLsn;
  decodeParts(formatOf(major), bytes, view, offset, into);
}

/** {@link decodeRecord} for a record whose LSNs are already in `into`: as arguments they would be boxed, one allocation each a record. */
export function decodeParts(
  format: VersionFormat,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  into: WalRecord,
): void {
  into.bytes = bytes;
  into.view = view;
  into.offset = offset;
  into.totalLength = 0;
  if (offset < 0 || offset + SIZE_OF_XLOG_RECORD > bytes.length) throw corrupt(into, 'its header is not there');
  const totalLength = view.getUint32(offset + XL_TOT_LEN, true);
  into.totalLength = totalLength;
  if (
    totalLength < SIZE_OF_XLOG_RECORD ||
    totalLength > bytes.length - offset ||
    totalLength > format.walRecordLengthMax
  ) {
    throw corrupt(into, `its length is ${totalLength} bytes, of which ${bytes.length - offset} are there`);
  }
  into.xid = view.getUint32(offset + XL_XID, true);
  into.prev = readLsn(view, offset + XL_PREV);
  into.info = bytes[offset + XL_INFO] as number;
  into.rmid = bytes[offset + XL_RMID] as number;
  into.origin = 0;
  into.topLevelXid = 0;
  into.mainDataLength = 0;
  into.blockCount = 0;

  const end = offset + totalLength;
  let at = decodeHeaders(into, view, offset + SIZE_OF_XLOG_RECORD, end);
  for (let id = 0; id < into.blockCount; id++) {
    const block = into.blocks[id] as BlockReference;
    if (!block.inUse) continue;
    block.imageOffset = at;
    at += block.imageLength;
    block.dataOffset = at;
    at += block.dataLength;
  }
  into.mainDataOffset = at;
  if (at + into.mainDataLength !== end) throw shortData(into);
}

/** Decodes the headers from `start` on and gives where the data begin. */
function decodeHeaders(into: WalRecord, view: DataView, start: number, end: number): number {
  let at = start;
  // Bytes of data that the headers seen so far announce: headers go on as long as more than that is left.
  let announced = 0;
  let relationKnown = false;
  let spc = 0;
  let db = 0;
  let rel = 0;
  while (end - at > announced) {
    const id = view.getUint8(at);
    at += 1;
    if (id === XLR_BLOCK_ID_DATA_SHORT) {
      if (end - at < 1) throw shortData(into);
      into.mainDataLength = view.getUint8(at);
      return at + 1;
    }
    if (id === XLR_BLOCK_ID_DATA_LONG) {
      if (end - at < 4) throw shortData(into);
      into.mainDataLength = view.getUint32(at, true);
      return at + 4;
    }
    if (id === XLR_BLOCK_ID_ORIGIN) {
      if (end - at < 2) throw shortData(into);
      into.origin = view.getUint16(at, true);
      at += 2;
      continue;
    }
    if (id === XLR_BLOCK_ID_TOPLEVEL_XID) {
      if (end - at < 4) throw shortData(into);
      into.topLevelXid = view.getUint32(at, true);
      at += 4;
      continue;
    }
    if (id > XLR_MAX_BLOCK_ID) throw corrupt(into, `invalid block id ${id}`);
    if (id < into.blockCount) throw corrupt(into, `out-of-order block id ${id}`);
    for (let unused = into.blockCount; unused < id; unused++) (into.blocks[unused] as BlockReference).inUse = false;
    into.blockCount = id + 1;
    const block = into.blocks[id] as BlockReference;
    block.inUse = true;

    if (end - at < 3) throw shortData(into);
    const flags = view.getUint8(at);
    block.flags = flags;
    block.fork = flags & BKPBLOCK_FORK_MASK;
    block.willInit = (flags & BKPBLOCK_WILL_INIT) !== 0;
    block.dataLength = view.getUint16(at + 1, true);
    at += 3;
    const hasData = (flags & BKPBLOCK_HAS_DATA) !== 0;
    if (hasData !== block.dataLength > 0)
      throw corrupt(into, `block ${id}: its data flag does not agree with ${block.dataLength} bytes of data`);
    if ((flags & BKPBLOCK_HAS_IMAGE) !== 0) at = decodeImageHeader(into, block, id, view, at, end);
    else clearImage(block);
    announced += block.dataLength + block.imageLength;

    if ((flags & BKPBLOCK_SAME_REL) === 0) {
      if (end - at < 12) throw shortData(into);
      spc = view.getUint32(at, true);
      db = view.getUint32(at + 4, true);
      rel = view.getUint32(at + 8, true);
      at += 12;
      relationKnown = true;
    } else if (!relationKnown)
      throw corrupt(into, `block ${id} is of the relation of the block before, and there is none`);
    if (end - at < 4) throw shortData(into);
    block.spc = spc;
    block.db = db;
    block.rel = rel;
    block.block = view.getUint32(at, true);
    at += 4;
  }
  return at;
}

function clearImage(block: BlockReference): void {
  block.hasImage = false;
  block.applyImage = false;
  block.imageLength = 0;
  block.imageInfo = 0;
  block.holeOffset = 0;
  block.holeLength = 0;
}

function decodeImageHeader(
  into: WalRecord,
  block: BlockReference,
  id: number,
  view: DataView,
  start: number,
  end: number,
): number {
  if (end - start < 5) throw shortData(into);
  const length = view.getUint16(start, true);
  const holeOffset = view.getUint16(start + 2, true);
  const info = view.getUint8(start + 4);
  const hole = (info & BKPIMAGE_HAS_HOLE) !== 0;
  const compressed = (info & BKPIMAGE_COMPRESSED) !== 0;
  let at = start + 5;
  let holeLength = 0;
  if (!compressed) holeLength = BLCKSZ - length;
  else if (hole) {
    if (end - at < 2) throw shortData(into);
    holeLength = view.getUint16(at, true);
    at += 2;
  }
  // Differs: PostgreSQL does not check that the hole lies inside the page; restoring such an image would write outside of it.
  const sane = hole
    ? holeOffset > 0 && holeLength > 0 && holeOffset + holeLength <= BLCKSZ && length !== BLCKSZ
    : holeOffset === 0 && holeLength === 0;
  if (!sane || (compressed && length >= BLCKSZ)) {
    throw corrupt(
      into,
      `block ${id}: image of ${length} bytes, flags ${info}, hole of ${holeLength} bytes at ${holeOffset}`,
    );
  }
  block.hasImage = true;
  block.applyImage = (info & BKPIMAGE_APPLY) !== 0;
  block.imageLength = length;
  block.imageInfo = info;
  block.holeOffset = holeOffset;
  block.holeLength = holeLength;
  return at;
}
