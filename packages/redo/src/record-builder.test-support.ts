import { INVALID_LSN, lsn, type Lsn } from '@zenith/base';
import {
  BLCKSZ,
  WalRecord,
  decodeRecord,
  encodeRecord,
  type BlockSpec,
  type Page,
  type PgMajor,
  type RecordSpec,
} from '@zenith/pg-format';

/** The relation that test records are about. */
const RELATION = { spc: 1663, db: 5, rel: 16384, fork: 0 } as const;

/** Where test records end. */
export const END_LSN: Lsn = lsn(0x1_2345_6788);

/** Little-endian fields: `[size, value]`, or bytes as they are. */
export function pack(...fields: readonly (readonly [size: 1 | 2 | 4, value: number] | Uint8Array)[]): Uint8Array {
  const bytes: number[] = [];
  for (const field of fields) {
    if (field instanceof Uint8Array) bytes.push(...field);
    else for (let i = 0; i < field[0]; i++) bytes.push((field[1] >>> (i * 8)) & 0xff);
  }
  return Uint8Array.from(bytes);
}

/** `u8(1)`, `u16(2)`, `u32(3)`: fields for {@link pack}. */
export const u8 = (value: number): readonly [1, number] => [1, value];
export const u16 = (value: number): readonly [2, number] => [2, value];
export const u32 = (value: number): readonly [4, number] => [4, value];

/** A block reference of {@link RELATION}. */
export function block(id: number, number: number, parts: Partial<BlockSpec> = {}): BlockSpec {
  return { id, ...RELATION, block: number, ...parts };
}

/** Encodes and decodes a record, with `around` bytes of `filler` before and behind it in its buffer. */
export function record(major: PgMajor, spec: RecordSpec, filler = 0, around = 64): WalRecord {
  return decode(major, encodeRecord(spec, lsn(0x1000)), filler, around);
}

/** Decodes a record's bytes, with `around` bytes of `filler` before and behind it in its buffer. */
export function decode(major: PgMajor, encoded: Uint8Array, filler = 0, around = 64): WalRecord {
  const bytes = new Uint8Array(encoded.length + 2 * around).fill(filler);
  bytes.set(encoded, around);
  const result = new WalRecord();
  decodeRecord(major, bytes, new DataView(bytes.buffer), around, INVALID_LSN, END_LSN, result);
  return result;
}

/** A page in the middle of a buffer whose other bytes are `filler`, holding a copy of `content`. */
export function guardedPage(
  content: Uint8Array,
  filler: number,
): { readonly page: Page; readonly guards: () => boolean } {
  const buffer = new Uint8Array(3 * BLCKSZ).fill(filler);
  const page: Page = { bytes: buffer.subarray(BLCKSZ, 2 * BLCKSZ), view: new DataView(buffer.buffer, BLCKSZ, BLCKSZ) };
  page.bytes.set(content);
  return {
    page,
    guards: () =>
      buffer.subarray(0, BLCKSZ).every((byte) => byte === filler) &&
      buffer.subarray(2 * BLCKSZ).every((byte) => byte === filler),
  };
}
