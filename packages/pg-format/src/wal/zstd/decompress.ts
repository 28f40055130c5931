import { CorruptionError } from '@zenith/base';
import { Literals } from './literals.ts';
import { Sequences } from './sequences.ts';

// A frame as ZSTD_compress() makes it of a page: magic u32; descriptor u8, 0x20 (one segment, content size in 1 byte) or 0x60 (in 2, with 256 taken off); content size; then blocks:
// u24 with last block (bit 0), type (1-2) and size (from 3), bytes. No window, dictionary or checksum.
// PG 15-18: XLogCompressBackupBlock(), xloginsert.c; format: RFC 8878
const MAGIC = 0xfd2fb528;
const SIZE_IN_ONE_BYTE = 0x20;
const SIZE_IN_TWO_BYTES = 0x60;
const BLOCK_HEADER = 3;
const BLOCK_RAW = 0;
const BLOCK_RUN = 1;
const BLOCK_COMPRESSED = 2;

/**
 * Decompresses the zstd frame `from[start, start + length)` into `to[0, rawLength)`. True when that filled the output exactly and used up the input; false when
 * the frame is damaged, or none that PostgreSQL writes, with unspecified output but nothing written outside of it. PG: ZSTD_decompress(), RestoreBlockImage().
 */
export function zstdDecompress(
  from: Uint8Array,
  start: number,
  length: number,
  to: Uint8Array,
  rawLength: number,
): boolean {
  if (start + length > from.length || rawLength > to.length) return false;
  try {
    return decompressFrame(from.subarray(start, start + length), to, rawLength);
  } catch (error) {
    if (error instanceof CorruptionError) return false;
    throw error;
  }
}

function decompressFrame(frame: Uint8Array, to: Uint8Array, rawLength: number): boolean {
  let at = blocksOffset(frame, rawLength);
  const literals = new Literals(rawLength);
  const sequences = new Sequences();
  let out = 0;
  for (;;) {
    if (at + BLOCK_HEADER > frame.length) return false;
    const header = (frame[at] as number) | ((frame[at + 1] as number) << 8) | ((frame[at + 2] as number) << 16);
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    at += BLOCK_HEADER;
    const end = at + (type === BLOCK_RUN ? 1 : size);
    if (end > frame.length) return false;
    if (type === BLOCK_COMPRESSED) {
      const behind = literals.read(frame, at, end);
      out = sequences.execute(frame, behind, end, literals, to, out, rawLength);
    } else {
      if (size > rawLength - out) return false;
      if (type === BLOCK_RAW) to.set(frame.subarray(at, end), out);
      else if (type === BLOCK_RUN) to.fill(frame[at] as number, out, out + size);
      else return false;
      out += size;
    }
    at = end;
    if ((header & 1) !== 0) return out === rawLength && at === frame.length;
  }
}

/** Where the blocks begin. @throws CorruptionError when the frame is not one of `rawLength` bytes */
function blocksOffset(frame: Uint8Array, rawLength: number): number {
  const magic = ((frame[0] ?? 0) | ((frame[1] ?? 0) << 8) | ((frame[2] ?? 0) << 16) | ((frame[3] ?? 0) << 24)) >>> 0;
  const descriptor = frame[4] ?? 0;
  const inOne = descriptor === SIZE_IN_ONE_BYTE;
  if (magic !== MAGIC || !(inOne || descriptor === SIZE_IN_TWO_BYTES))
    throw new CorruptionError('not a zstd frame of a page');
  const size = inOne ? (frame[5] ?? 0) : ((frame[5] ?? 0) | ((frame[6] ?? 0) << 8)) + 256;
  if (size !== rawLength) throw new CorruptionError(`a zstd frame of ${size} bytes, not ${rawLength}`);
  return inOne ? 6 : 7;
}
