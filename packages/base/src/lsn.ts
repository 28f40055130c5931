import { ZenithError } from './errors.ts';

/** Byte position in one timeline's WAL. Unit: bytes; integer in [0, 2^53). PG: XLogRecPtr, xlogdefs.h. */
export type Lsn = number & { readonly __unit: 'lsn' }; // not a unique symbol: declarations that infer this type must be able to name it

/** The LSN that is none. PG: InvalidXLogRecPtr. */
export const INVALID_LSN = 0 as Lsn;

/** Brands `value`, which must be an integer in [0, 2^53), as an LSN. No check: for hot paths whose input was checked. */
export function lsn(value: number): Lsn {
  return value as Lsn;
}

/** Reads a little-endian u64 LSN at `offset`. @throws RangeError when it lies outside of the view */
export function readLsn(view: DataView, offset: number): Lsn {
  return (view.getUint32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true)) as Lsn;
}

/** Writes `value` as a little-endian u64 at `offset`. */
export function writeLsn(view: DataView, offset: number, value: Lsn): void {
  view.setUint32(offset, value % 0x1_0000_0000, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads a big-endian u64 LSN at `offset` (network order, as in PostgreSQL's replication protocol). */
export function readLsnBigEndian(view: DataView, offset: number): Lsn {
  return (view.getUint32(offset, false) * 0x1_0000_0000 + view.getUint32(offset + 4, false)) as Lsn;
}

/** Writes `value` as a big-endian u64 at `offset`. */
export function writeLsnBigEndian(view: DataView, offset: number, value: Lsn): void {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000), false);
  view.setUint32(offset + 4, value % 0x1_0000_0000, false);
}

/** The text form PostgreSQL uses, `0/16B3D98`. */
export function formatLsn(value: Lsn): string {
  return `${Math.floor(value / 0x1_0000_0000)
    .toString(16)
    .toUpperCase()}/${(value % 0x1_0000_0000).toString(16).toUpperCase()}`;
}

/** Reads the text form. @throws ZenithError `invalid-lsn` when it is not one, or lies at or beyond 2^53 */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  const value =
    match === null
      ? Number.NaN
      : Number.parseInt(match[1] ?? '', 16) * 0x1_0000_0000 + Number.parseInt(match[2] ?? '', 16);
  if (!Number.isSafeInteger(value))
    throw new ZenithError('invalid-lsn', `'${text}' is not an LSN: expected two hexadecimal numbers such as 0/16B3D98`);
  return value as Lsn;
}
