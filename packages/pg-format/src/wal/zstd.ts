import { Decompress } from 'fzstd';

// A zstd frame as ZSTD_compress() writes it: magic u32, descriptor u8 (bits 6-7 width of the content size, 5 single segment, 3 reserved, 2 checksum, 0-1 width of
// the dictionary id), with bit 5 clear a window descriptor u8, content size; then blocks: u24 (bit 0 last, bits 1-2 type, size above), bytes.
// A compressed block is literals, u8/u16/u24 number of sequences, sequences.  PG 15-18: XLogCompressBackupBlock(), xloginsert.c; format: RFC 8878
const MAGIC = 0xfd2fb528;
const SINGLE_SEGMENT = 0x20;
const UNUSED_OR_DICTIONARY = 0x0b;
const CHECKSUM = 0x04;
const BLOCK_HEADER = 3;
const BLOCK_RLE = 1;
const BLOCK_COMPRESSED = 2;
const BLOCK_RESERVED = 3;
const MATCH_MIN = 3;

/**
 * Decompresses the zstd frame `from[start, start + length)` into `to[0, rawLength)`. True when that filled the output exactly and used up the input; false when
 * the frame is damaged or is none that PostgreSQL writes, with unspecified output but nothing written outside of it. Memory and time are bounded by
 * `rawLength`: what the frame announces is checked before the library sees it. PG: ZSTD_decompress(), RestoreBlockImage().
 */
export function zstdDecompress(
  from: Uint8Array,
  start: number,
  length: number,
  to: Uint8Array,
  rawLength: number,
): boolean {
  if (start + length > from.length || rawLength > to.length) return false;
  const frame = from.subarray(start, start + length);
  if (!isPlausibleFrame(frame, rawLength)) return false;
  let out = 0;
  const take = (bytes: Uint8Array): void => {
    if (out + bytes.length <= rawLength) to.set(bytes, out);
    out += bytes.length;
  };
  try {
    new Decompress(take).push(frame, true);
  } catch {
    return false; // the library throws Errors of its own, and RangeErrors and TypeErrors for what it does not check
  }
  return out === rawLength;
}

/** True when the frame announces `rawLength` bytes, its blocks end with it, and none has more sequences than could fit. */
function isPlausibleFrame(frame: Uint8Array, rawLength: number): boolean {
  if (frame.length < 9) return false; // header with a content size of one byte, and one block header
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const descriptor = view.getUint8(4);
  if (view.getUint32(0, true) !== MAGIC || (descriptor & SINGLE_SEGMENT) === 0) return false;
  if ((descriptor & UNUSED_OR_DICTIONARY) !== 0) return false;
  // Width 0 is one byte, width 1 two bytes with 256 added; an image is never so long that it would take more.
  const twoBytes = descriptor >>> 6 === 1;
  if (descriptor >>> 6 > 1 || (twoBytes ? view.getUint16(5, true) + 256 : view.getUint8(5)) !== rawLength) return false;
  const end = frame.length - ((descriptor & CHECKSUM) === 0 ? 0 : 4);
  for (let at = twoBytes ? 7 : 6; at + BLOCK_HEADER <= end;) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    at += BLOCK_HEADER;
    if (type === BLOCK_RESERVED || size > rawLength) return false;
    const next = at + (type === BLOCK_RLE ? 1 : size);
    if (next > end) return false;
    if (type === BLOCK_COMPRESSED && sequenceCount(view, at, next) > rawLength / MATCH_MIN) return false;
    if ((header & 1) !== 0) return next === end;
    at = next;
  }
  return false;
}

/** How many sequences the compressed block in `[at, end)` announces; infinite when it is cut off. */
function sequenceCount(view: DataView, at: number, end: number): number {
  const behind = at + literalsLength(view, at, end);
  if (behind >= end) return Number.POSITIVE_INFINITY;
  const first = view.getUint8(behind);
  if (first < 128) return first;
  if (behind + 2 >= end) return Number.POSITIVE_INFINITY;
  return first < 255 ? ((first - 128) << 8) | view.getUint8(behind + 1) : view.getUint16(behind + 1, true) + 0x7f00;
}

/** Length of the literals section at `at`, its header included. Bytes from `end` on count as zero. */
function literalsLength(view: DataView, at: number, end: number): number {
  const byte = (i: number): number => (at + i < end ? view.getUint8(at + i) : 0);
  const first = byte(0);
  const format = (first >>> 2) & 3;
  const raw = (first & 3) === 0;
  if ((first & 2) === 0) {
    // Raw literals, or one byte that is repeated; only their number is here, in 5, 12 or 20 bits.
    if ((format & 1) === 0) return 1 + (raw ? first >>> 3 : 1);
    if (format === 1) return 2 + (raw ? (first >>> 4) | (byte(1) << 4) : 1);
    return 3 + (raw ? (first >>> 4) | (byte(1) << 4) | (byte(2) << 12) : 1);
  }
  // Compressed literals: how many in 10, 14 or 18 bits behind the first four, then in as many how long they are.
  if (format < 2) return 3 + ((byte(1) >>> 6) | (byte(2) << 2));
  if (format === 2) return 4 + ((byte(2) >>> 2) | (byte(3) << 6));
  return 5 + ((byte(2) >>> 6) | (byte(3) << 2) | (byte(4) << 10));
}
