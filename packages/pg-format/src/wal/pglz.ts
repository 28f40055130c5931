// A pglz stream is a row of groups: one control byte, then eight items, its lowest bit first. A 0 bit is one literal byte. A 1 bit is a
// reference back into the output:
//   byte 0: low nibble = length - 3, high nibble = bits 8-11 of the distance;  byte 1: bits 0-7 of the distance;
//   when the nibble is 15, byte 2 adds to the length.
// A reference may overlap what it produces.  PG 15-18: pg_lzcompress.c
const LENGTH_MIN = 3;
const LENGTH_EXTENDED = 18;

/**
 * Decompresses `from[start, start + length)` into `to[0, rawLength)`. True when that filled the output exactly and used up the input; false when
 * the stream is damaged, with unspecified output but nothing written outside of it. PG: pglz_decompress() with check_complete.
 */
export function pglzDecompress(
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
  while (at < end && out < rawLength) {
    let control = from[at++] as number;
    for (let bit = 0; bit < 8 && at < end && out < rawLength; bit++, control >>= 1) {
      if ((control & 1) === 0) {
        to[out++] = from[at++] as number;
        continue;
      }
      if (end - at < 2) return false;
      const first = from[at] as number;
      const distance = ((first & 0xf0) << 4) | (from[at + 1] as number);
      let count = (first & 0x0f) + LENGTH_MIN;
      at += 2;
      if (count === LENGTH_EXTENDED) {
        if (at >= end) return false;
        count += from[at++] as number;
      }
      if (distance === 0 || distance > out) return false;
      const stop = Math.min(out + count, rawLength);
      for (; out < stop; out++) to[out] = to[out - distance] as number;
    }
  }
  return out === rawLength && at === end;
}
