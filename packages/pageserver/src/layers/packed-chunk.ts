// A packed chunk: its length unpacked u32, then an lz4 block. Chunks that do not get shorter by a quarter are left as they are, and so are short ones: each costs a call when it is read, and saves little.
import { compressSync, uncompressSync } from 'lz4-napi';

/** How the chunks of layer files that are being written are compressed. Files of either kind are read. */
export const COMPRESSIONS = ['lz4', 'none'] as const;
/** One of {@link COMPRESSIONS}. */
export type Compression = (typeof COMPRESSIONS)[number];

/** Chunks below this are not packed. Unit: bytes. */
const PACKED_FROM = 512;

/** Size of the length that a packed chunk begins with. Unit: bytes. */
const LENGTH_BYTES = 4;

/** A chunk is packed when it becomes at most this fraction of its length. */
const WORTH = 3 / 4;

/** A byte of an lz4 block stands for so many bytes at most. */
const EXPANSION_MAX = 255;

/** Packs the chunk `bytes[start, end)`, which is only borrowed. Undefined when it is not worth it. */
export function packChunk(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
  const length = end - start;
  if (length < PACKED_FROM) return undefined;
  const packed = compressSync(Buffer.from(bytes.buffer, bytes.byteOffset + start, length));
  return packed.length <= length * WORTH ? packed : undefined;
}

/** Length that the packed chunk `bytes[at, at + length)` has unpacked; -1 when it cannot be. Unit: bytes. */
export function unpackedLength(bytes: Uint8Array, at: number, length: number): number {
  if (length <= LENGTH_BYTES) return -1;
  const raw =
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0;
  return raw > 0 && raw <= (length - LENGTH_BYTES) * EXPANSION_MAX ? raw : -1;
}

/** Unpacks the chunk `bytes[at, at + length)`, which has {@link unpackedLength} `rawLength`, into `to` at `toStart`. False when it is damaged: what is there then is unspecified. */
export function unpackChunk(
  bytes: Uint8Array,
  at: number,
  length: number,
  to: Uint8Array,
  toStart: number,
  rawLength: number,
): boolean {
  let raw;
  try {
    raw = uncompressSync(bytes.subarray(at, at + length));
  } catch {
    return false;
  }
  if (raw.length !== rawLength) return false;
  to.set(raw, toStart);
  return true;
}
