// An lz4 block is a row of sequences:
//   token u8: high nibble = literal length, low nibble = match length - 4; a nibble of 15 is extended by bytes that add up, the last of them below 255
//   literal length's extension, literals, distance u16 (1..65535, back from the end of the output), match length's extension
// The last sequence ends behind its literals. A match may overlap what it produces.
// PG 15-18 writes such blocks with LZ4_compress_default(): XLogCompressBackupBlock(), xloginsert.c; format: lz4_Block_format.md of the lz4 project
const MATCH_MIN = 4;
const NIBBLE_EXTENDED = 15;
const DISTANCE_LENGTH = 2;

/**
 * Decompresses the lz4 block `from[start, start + length)` into `to[0, rawLength)`. True when that filled the output exactly and used up the input; false when
 * the block is damaged, with unspecified output but nothing read or written outside of both. PG: LZ4_decompress_safe(), RestoreBlockImage().
 */
export function lz4Decompress(
  from: Uint8Array,
  start: number,
  length: number,
  to: Uint8Array,
  rawLength: number,
): boolean {
  const end = start + length;
  if (end > from.length || rawLength > to.length) return false;
  let at = start;
  let out = 0;
  while (at < end) {
    const token = from[at++] as number;
    let literals = token >>> 4;
    if (literals === NIBBLE_EXTENDED) {
      let more = 255;
      while (more === 255) {
        if (at >= end) return false;
        more = from[at++] as number;
        literals += more;
      }
    }
    if (literals > end - at || literals > rawLength - out) return false;
    for (const stop = at + literals; at < stop;) to[out++] = from[at++] as number;
    if (at === end) return out === rawLength && (token & 0x0f) === 0;

    if (end - at < DISTANCE_LENGTH) return false;
    const distance = (from[at] as number) | ((from[at + 1] as number) << 8);
    at += DISTANCE_LENGTH;
    let count = (token & 0x0f) + MATCH_MIN;
    if (count === NIBBLE_EXTENDED + MATCH_MIN) {
      let more = 255;
      while (more === 255) {
        if (at >= end) return false;
        more = from[at++] as number;
        count += more;
      }
    }
    if (distance === 0 || distance > out || count > rawLength - out) return false;
    for (const stop = out + count; out < stop; out++) to[out] = to[out - distance] as number;
  }
  return false; // it ended behind a match, which no block does
}
