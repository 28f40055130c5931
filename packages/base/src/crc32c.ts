import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** Below this many bytes the call into native code, and the slice it needs, cost more than the tables do. Unit: bytes. */
const NATIVE_FROM = 256;

// Slicing by 8: table k, at 256·k, advances the CRC by one byte that has k more bytes behind it.
const TABLES = new Int32Array(8 * 256);
for (let n = 0; n < 256; n++) {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  TABLES[n] = crc;
}
for (let n = 256; n < TABLES.length; n++) {
  const before = TABLES[n - 256] as number;
  TABLES[n] = (TABLES[before & 0xff] as number) ^ (before >>> 8);
}

/**
 * CRC-32C (Castagnoli) of `bytes[start, end)`, continuing from `previous` (0 to begin). An unsigned 32-bit number, the value
 * PostgreSQL stores. PG: pg_crc32c.h, COMP_CRC32C() between INIT_CRC32C() and FIN_CRC32C().
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, previous = 0): number {
  return signed(bytes, start, end, previous) >>> 0;
}

function signed(bytes: Uint8Array, start: number, end: number, previous: number): number {
  if (end - start >= NATIVE_FROM) {
    return nativeCrc32c(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), previous >>> 0) | 0;
  }
  const t = TABLES;
  let crc = ~previous;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    crc ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    crc =
      (t[0x700 + (crc & 0xff)] as number) ^
      (t[0x600 + ((crc >>> 8) & 0xff)] as number) ^
      (t[0x500 + ((crc >>> 16) & 0xff)] as number) ^
      (t[0x400 + (crc >>> 24)] as number) ^
      (t[0x300 + (bytes[i + 4] as number)] as number) ^
      (t[0x200 + (bytes[i + 5] as number)] as number) ^
      (t[0x100 + (bytes[i + 6] as number)] as number) ^
      (t[bytes[i + 7] as number] as number);
  }
  for (; i < end; i++) crc = (t[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc;
}

/** As {@link NATIVE_FROM}, for the tables over a view, which are faster. Unit: bytes. */
const NATIVE_FROM_VIEW = 400;

/**
 * {@link crc32c} of bytes [start, end) of a view, as a signed 32-bit number, for hot paths: an unsigned one above 2^31 is boxed when it is returned, an allocation for every
 * other call. Compare it with what `getInt32` reads. A view loads four bytes at once: for the lengths of WAL records it takes a fourth less than {@link crc32c}.
 * @throws RangeError when the range leaves the view
 */
export function crc32cOfView(view: DataView, start: number, end: number, previous: number): number {
  if (end - start >= NATIVE_FROM_VIEW)
    return nativeCrc32c(new Uint8Array(view.buffer, view.byteOffset + start, end - start), previous >>> 0) | 0;
  const t = TABLES;
  let crc = ~previous;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    crc ^= view.getInt32(i, true);
    const next = view.getInt32(i + 4, true);
    crc =
      (t[0x700 + (crc & 0xff)] as number) ^
      (t[0x600 + ((crc >>> 8) & 0xff)] as number) ^
      (t[0x500 + ((crc >>> 16) & 0xff)] as number) ^
      (t[0x400 + (crc >>> 24)] as number) ^
      (t[0x300 + (next & 0xff)] as number) ^
      (t[0x200 + ((next >>> 8) & 0xff)] as number) ^
      (t[0x100 + ((next >>> 16) & 0xff)] as number) ^
      (t[next >>> 24] as number);
  }
  if (i + 4 <= end) {
    crc ^= view.getInt32(i, true);
    crc =
      (t[0x300 + (crc & 0xff)] as number) ^
      (t[0x200 + ((crc >>> 8) & 0xff)] as number) ^
      (t[0x100 + ((crc >>> 16) & 0xff)] as number) ^
      (t[crc >>> 24] as number);
    i += 4;
  }
  for (; i < end; i++) crc = (t[(crc ^ view.getUint8(i)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc;
}
