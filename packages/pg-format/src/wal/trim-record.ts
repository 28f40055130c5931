import { assert, writeLsn } from '@zenith/base';
import { copyBetweenViews } from '../page/copy-bytes.ts';
import {
  BKPBLOCK_HAS_DATA,
  BKPBLOCK_HAS_IMAGE,
  BKPBLOCK_SAME_REL,
  BKPIMAGE_COMPRESSED,
  BKPIMAGE_HAS_HOLE,
  SIZE_OF_XLOG_RECORD,
  XLR_BLOCK_ID_DATA_LONG,
  XLR_BLOCK_ID_DATA_SHORT,
  XLR_CHECK_CONSISTENCY,
} from './constants.ts';
import { XL_CRC, XL_INFO, XL_PREV, XL_RMID, XL_TOT_LEN, XL_XID } from './decode-record.ts';
import type { BlockReference, WalRecord } from './record.ts';

const BLOCK_HEADER = 4;
const IMAGE_HEADER = 5;
const COMPRESS_HEADER = 2;
const RELATION = 12;
const BLOCK_NUMBER = 4;

/** True when the trimmed record keeps this block's image: only redo's own image, not one to check redo with. */
function keepsImage(block: BlockReference, id: number, keep: number): boolean {
  return id === keep && block.hasImage && block.applyImage;
}

function hasHoleLength(block: BlockReference): boolean {
  return (block.imageInfo & BKPIMAGE_COMPRESSED) !== 0 && (block.imageInfo & BKPIMAGE_HAS_HOLE) !== 0;
}

function mainHeaderLength(record: WalRecord): number {
  if (record.mainDataLength === 0) return 0;
  return record.mainDataLength > 255 ? 5 : 2;
}

/** How many bytes {@link trimRecord} writes for that block; never more than the record's own length. */
export function trimmedLength(record: WalRecord, keepBlockIndex: number): number {
  let length = SIZE_OF_XLOG_RECORD + mainHeaderLength(record) + record.mainDataLength;
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id] as BlockReference;
    if (!block.inUse) continue;
    length += BLOCK_HEADER + BLOCK_NUMBER + ((block.flags & BKPBLOCK_SAME_REL) === 0 ? RELATION : 0);
    if (keepsImage(block, id, keepBlockIndex))
      length += IMAGE_HEADER + (hasHoleLength(block) ? COMPRESS_HEADER : 0) + block.imageLength;
    if (id === keepBlockIndex) length += block.dataLength;
  }
  return length;
}

/**
 * Writes at `out[outOffset]` a record that holds what redo of one block needs and gives its length: the header, every block's relation, fork and
 * number, this block's data and image, the main data. Left out: the other blocks' data and images, an image that only checks redo's result,
 * replication origin, top-level xid. `decodeRecord` reads it back; its CRC is 0 and its place in the WAL is not in it.
 * @param view a view over exactly the bytes of `out`, which is not the record's own buffer; it must have room for {@link trimmedLength}
 */
export function trimRecord(
  record: WalRecord,
  keepBlockIndex: number,
  out: Uint8Array,
  view: DataView,
  outOffset: number,
): number {
  const total = trimmedLength(record, keepBlockIndex);
  assert(outOffset + total <= out.length, 'trimRecord: the output has room for the trimmed record');
  view.setUint32(outOffset + XL_TOT_LEN, total, true);
  view.setUint32(outOffset + XL_XID, record.xid, true);
  writeLsn(view, outOffset + XL_PREV, record.prev);
  view.setUint8(outOffset + XL_INFO, record.info & ~XLR_CHECK_CONSISTENCY);
  view.setUint8(outOffset + XL_RMID, record.rmid);
  view.setUint16(outOffset + XL_RMID + 1, 0, true);
  view.setUint32(outOffset + XL_CRC, 0, true);

  let at = outOffset + SIZE_OF_XLOG_RECORD;
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id] as BlockReference;
    if (block.inUse) at = writeBlockHeader(record, block, id, keepBlockIndex, view, at);
  }
  at = writeMainHeader(record, view, at);
  const kept = keepBlockIndex < record.blockCount ? record.blocks[keepBlockIndex] : undefined;
  if (kept !== undefined && kept.inUse) {
    if (keepsImage(kept, keepBlockIndex, keepBlockIndex)) {
      copyBetweenViews(record.view, kept.imageOffset, view, at, kept.imageLength);
      at += kept.imageLength;
    }
    copyBetweenViews(record.view, kept.dataOffset, view, at, kept.dataLength);
    at += kept.dataLength;
  }
  copyBetweenViews(record.view, record.mainDataOffset, view, at, record.mainDataLength);
  assert(at + record.mainDataLength === outOffset + total, 'trimRecord: the parts add up to the length');
  return total;
}

function writeBlockHeader(
  record: WalRecord,
  block: BlockReference,
  id: number,
  keep: number,
  view: DataView,
  start: number,
): number {
  const image = keepsImage(block, id, keep);
  const dataLength = id === keep ? block.dataLength : 0;
  let flags = block.flags & ~(BKPBLOCK_HAS_IMAGE | BKPBLOCK_HAS_DATA);
  if (image) flags |= BKPBLOCK_HAS_IMAGE;
  if (dataLength > 0) flags |= BKPBLOCK_HAS_DATA;
  assert(id < record.blockCount, 'trimRecord: a block of the record');
  view.setUint8(start, id);
  view.setUint8(start + 1, flags);
  view.setUint16(start + 2, dataLength, true);
  let at = start + BLOCK_HEADER;
  if (image) {
    view.setUint16(at, block.imageLength, true);
    view.setUint16(at + 2, block.holeOffset, true);
    view.setUint8(at + 4, block.imageInfo);
    at += IMAGE_HEADER;
    if (hasHoleLength(block)) {
      view.setUint16(at, block.holeLength, true);
      at += COMPRESS_HEADER;
    }
  }
  if ((flags & BKPBLOCK_SAME_REL) === 0) {
    view.setUint32(at, block.spc, true);
    view.setUint32(at + 4, block.db, true);
    view.setUint32(at + 8, block.rel, true);
    at += RELATION;
  }
  view.setUint32(at, block.block, true);
  return at + BLOCK_NUMBER;
}

function writeMainHeader(record: WalRecord, view: DataView, start: number): number {
  if (record.mainDataLength === 0) return start;
  if (record.mainDataLength > 255) {
    view.setUint8(start, XLR_BLOCK_ID_DATA_LONG);
    view.setUint32(start + 1, record.mainDataLength, true);
    return start + 5;
  }
  view.setUint8(start, XLR_BLOCK_ID_DATA_SHORT);
  view.setUint8(start + 1, record.mainDataLength);
  return start + 2;
}
