import { CorruptionError, assert, crc32c } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';

// pg_filenode.map: magic i32 @0, number of mappings i32 @4, then per mapping the oid of a catalog and its file number, u32 each;
//   15:      room for 62 mappings, crc u32 @504, zero u32 @508: 512 bytes
//   16-18:   room for 64 mappings, crc u32 @520: 524 bytes
// The CRC covers all before it.  PG 15-18: relmapper.c
const MAPPINGS = 8;

/** Name of a relation map file, in global and in each database's directory of its default tablespace. PG: relmapper.c. */
export const RELMAPPER_FILENAME = 'pg_filenode.map';
/** The word a relation map begins with. PG: relmapper.c. */
export const RELMAPPER_FILEMAGIC = 0x592717;

/** Which file a catalog has whose number cannot be in pg_class. */
export interface RelationMapping {
  /** Oid of the catalog. */
  readonly oid: number;
  /** Its relfilenode (relation file number). */
  readonly rel: number;
}

function crcOffset(major: PgMajor): number {
  return MAPPINGS + 8 * formatOf(major).relationMapEntriesMax;
}

/** Decodes a relation map file. @throws CorruptionError when its length, magic, count or CRC is wrong */
export function decodeRelationMap(major: PgMajor, bytes: Uint8Array): RelationMapping[] {
  const format = formatOf(major);
  if (bytes.length !== format.relationMapLength)
    throw new CorruptionError(`the relation map has ${bytes.length} bytes, expected ${format.relationMapLength}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getInt32(0, true);
  const count = view.getInt32(4, true);
  if (magic !== RELMAPPER_FILEMAGIC || count < 0 || count > format.relationMapEntriesMax)
    throw new CorruptionError(`the relation map has magic ${magic} and ${count} mappings`);
  if (view.getUint32(crcOffset(major), true) !== crc32c(bytes, 0, crcOffset(major)))
    throw new CorruptionError('the relation map has a wrong checksum');
  return Array.from({ length: count }, (_, i) => ({
    oid: view.getUint32(MAPPINGS + 8 * i, true),
    rel: view.getUint32(MAPPINGS + 8 * i + 4, true),
  }));
}

/** The bytes of a relation map file with its CRC, in a buffer of their own. */
export function encodeRelationMap(major: PgMajor, mappings: readonly RelationMapping[]): Uint8Array {
  const format = formatOf(major);
  assert(
    mappings.length <= format.relationMapEntriesMax,
    'encodeRelationMap: no more mappings than the file has room for',
  );
  const bytes = new Uint8Array(format.relationMapLength);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, RELMAPPER_FILEMAGIC, true);
  view.setInt32(4, mappings.length, true);
  mappings.forEach((mapping, i) => {
    view.setUint32(MAPPINGS + 8 * i, mapping.oid, true);
    view.setUint32(MAPPINGS + 8 * i + 4, mapping.rel, true);
  });
  view.setUint32(crcOffset(major), crc32c(bytes, 0, crcOffset(major)), true);
  return bytes;
}
