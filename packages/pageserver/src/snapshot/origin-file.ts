import { CorruptionError, crc32c, readLsn, writeLsn, type Lsn } from '@zenith/base';

/*
 * pg_logical/replorigin_checkpoint: magic u32 @0, per origin (id u16, 6 bytes zero, remote LSN u64) @4, CRC-32C u32 over all before it.  PG 15-18: origin.c
 * Value of a replicationOrigin object: remote LSN u64 @0, local LSN u64 @8.
 */
const MAGIC = 0x1257dade;
const HEADER = 4,
  ENTRY = 16,
  CRC = 4;
const VALUE_SIZE = 16;

/** Progress of one replication origin. */
export interface OriginProgress {
  readonly origin: number;
  /** Everything up to here of the other server has been applied. */
  readonly remoteLsn: Lsn;
}

/** Reads the file. @throws CorruptionError */
export function decodeOriginFile(bytes: Uint8Array): OriginProgress[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const source = { source: 'pg_logical/replorigin_checkpoint' };
  const count = (bytes.length - HEADER - CRC) / ENTRY;
  if (!Number.isInteger(count) || count < 0)
    throw new CorruptionError(`${bytes.length} bytes are no list of replication origins`, source);
  if (view.getUint32(0, true) !== MAGIC) throw new CorruptionError('wrong magic', source);
  if (crc32c(bytes, 0, bytes.length - CRC) !== view.getUint32(bytes.length - CRC, true))
    throw new CorruptionError('wrong checksum', source);
  return Array.from({ length: count }, (_, i) => ({
    origin: view.getUint16(HEADER + i * ENTRY, true),
    remoteLsn: readLsn(view, HEADER + i * ENTRY + 8),
  }));
}

/** The bytes of the file, in a buffer of their own. */
export function encodeOriginFile(origins: readonly OriginProgress[]): Uint8Array {
  const bytes = new Uint8Array(HEADER + origins.length * ENTRY + CRC);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  origins.forEach(({ origin, remoteLsn }, i) => {
    view.setUint16(HEADER + i * ENTRY, origin, true);
    writeLsn(view, HEADER + i * ENTRY + 8, remoteLsn);
  });
  view.setUint32(bytes.length - CRC, crc32c(bytes, 0, bytes.length - CRC), true);
  return bytes;
}

/** Value of a replicationOrigin object. */
export function encodeOriginValue(remoteLsn: Lsn, localLsn: Lsn): Uint8Array {
  const value = new Uint8Array(VALUE_SIZE);
  const view = new DataView(value.buffer);
  writeLsn(view, 0, remoteLsn);
  writeLsn(view, 8, localLsn);
  return value;
}

/** The remote LSN in the value of a replicationOrigin object. @throws CorruptionError */
export function remoteLsnOfValue(value: Uint8Array): Lsn {
  if (value.length !== VALUE_SIZE)
    throw new CorruptionError(
      `the progress of a replication origin has ${value.length} bytes instead of ${VALUE_SIZE}`,
    );
  return readLsn(new DataView(value.buffer, value.byteOffset, VALUE_SIZE), 0);
}
