import { CorruptionError, assert, formatLsn } from '@zenith/base';
import { copyBytes } from '../page/copy-bytes.ts';
import { BLCKSZ, type Page } from '../page/page.ts';
import { BKPIMAGE_COMPRESSED, BKPIMAGE_COMPRESS_LZ4, BKPIMAGE_COMPRESS_PGLZ } from './constants.ts';
import { lz4Decompress } from './lz4.ts';
import { pglzDecompress } from './pglz.ts';
import type { BlockReference, WalRecord } from './record.ts';
import { zstdDecompress } from './zstd/decompress.ts';

// Scratch of one synchronous call.
const plain = new Uint8Array(BLCKSZ);

/**
 * Makes `page` the image that the record carries of its block `blockIndex`, the hole filled with zeroes; redo then sets the LSN. Works for images
 * to apply and for those that only check redo. PG 15-18: RestoreBlockImage(), xlogreader.c.
 * @throws CorruptionError when the image is damaged
 */
export function restoreBlockImage(record: WalRecord, blockIndex: number, page: Page): void {
  const block = blockIndex < record.blockCount ? (record.blocks[blockIndex] as BlockReference) : undefined;
  assert(block !== undefined && block.inUse && block.hasImage, 'restoreBlockImage: the block has an image');
  let bytes = record.bytes;
  let offset = block.imageOffset;
  if ((block.imageInfo & BKPIMAGE_COMPRESSED) !== 0) {
    decompress(record, block, blockIndex);
    bytes = plain;
    offset = 0;
  }
  const afterHole = block.holeOffset + block.holeLength;
  if (block.holeLength === 0) {
    copyBytes(bytes, offset, page.bytes, 0, BLCKSZ);
    return;
  }
  copyBytes(bytes, offset, page.bytes, 0, block.holeOffset);
  page.bytes.fill(0, block.holeOffset, afterHole);
  copyBytes(bytes, offset + block.holeOffset, page.bytes, afterHole, BLCKSZ - afterHole);
}

function decompress(record: WalRecord, block: BlockReference, blockIndex: number): void {
  const rawLength = BLCKSZ - block.holeLength;
  if (!decompressor(block.imageInfo)(record.bytes, block.imageOffset, block.imageLength, plain, rawLength)) {
    throw new CorruptionError(
      `WAL record at ${formatLsn(record.lsn)}: the image of block ${blockIndex} cannot be decompressed`,
    );
  }
}

/** The method by the first bit that is set, as RestoreBlockImage() asks for them. */
function decompressor(imageInfo: number): typeof pglzDecompress {
  if ((imageInfo & BKPIMAGE_COMPRESS_PGLZ) !== 0) return pglzDecompress;
  return (imageInfo & BKPIMAGE_COMPRESS_LZ4) !== 0 ? lz4Decompress : zstdDecompress;
}
