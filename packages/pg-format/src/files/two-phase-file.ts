import { CorruptionError, crc32c } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import { parsePrepareData, type XactRecord } from '../wal/xact.ts';
import { xidOfFull } from '../transaction-id.ts';

// pg_twophase/<name>: the main data of the XLOG_XACT_PREPARE record (xl_xact_prepare, wal/xact.ts), then its CRC-32C, u32. The name is the xid in
// 8 hexadecimal digits, or from 17 on the full transaction id in 16.  PG 15-18: twophase.c

/** Directory of the state files of prepared transactions. PG: TWOPHASE_DIR. */
export const TWOPHASE_DIR = 'pg_twophase';

/** Name of the state file of a prepared transaction. PG: TwoPhaseFilePath(). */
export function twoPhaseFileName(major: PgMajor, xid: bigint): string {
  const length = formatOf(major).twoPhaseNameLength;
  const id = length === 8 ? BigInt(xidOfFull(xid)) : xid;
  return id.toString(16).toUpperCase().padStart(length, '0');
}

/** The transaction id in the name of a state file, without epoch where the version's names have none; undefined when it is not such a name. */
export function parseTwoPhaseFileName(major: PgMajor, name: string): bigint | undefined {
  return name.length === formatOf(major).twoPhaseNameLength && /^[0-9A-F]+$/.test(name)
    ? BigInt(`0x${name}`)
    : undefined;
}

/** The content of the state file for a PREPARE record whose main data are `bytes[offset, offset + length)`: a copy of them and the CRC. */
export function encodeTwoPhaseFile(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const file = new Uint8Array(length + 4);
  file.set(bytes.subarray(offset, offset + length));
  new DataView(file.buffer).setUint32(length, crc32c(file, 0, length), true);
  return file;
}

/**
 * Reads a state file into `into`, which borrows its bytes.
 * @throws CorruptionError when its length, magic or CRC is wrong
 */
export function parseTwoPhaseFile(major: PgMajor, bytes: Uint8Array, into: XactRecord): void {
  const length = bytes.length - 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (length < 0 || (length & 7) !== 0) throw new CorruptionError(`a two-phase state file has ${bytes.length} bytes`);
  if (view.getUint32(length, true) !== crc32c(bytes, 0, length))
    throw new CorruptionError('a two-phase state file has a wrong checksum');
  parsePrepareData(major, bytes, view, 0, length, into);
}
