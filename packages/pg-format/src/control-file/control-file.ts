import { CorruptionError, ZenithError, assert, crc32c, readLsn, writeLsn, type Lsn, type SystemId } from '@zenith/base';
import type { PgFormatErrorCode } from '../errors.ts';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import { decodeCheckPoint, encodeCheckPoint, type CheckPoint } from './check-point.ts';

// ControlFileData: system_identifier u64 @0, pg_control_version u32 @8, catalog_version_no u32 @12, state i32 @16, time i64 @24, checkPoint u64 @32,
// checkPointCopy 88 bytes @40, unloggedLSN u64 @128, minRecoveryPoint u64 @136, its timeline u32 @144, backupStartPoint u64 @152, backupEndPoint
// u64 @160, backupEndRequired u8 @168, wal_level i32 @172, wal_log_hints u8 @176, MaxConnections i32 @180, max_worker_processes i32 @184,
// max_wal_senders i32 @188, max_prepared_xacts i32 @192, max_locks_per_xact i32 @196, track_commit_timestamp u8 @200, maxAlign u32 @204,
// floatFormat f64 @208, blcksz u32 @216, relseg_size u32 @220, xlog_blcksz u32 @224, xlog_seg_size u32 @228, nameDataLen u32 @232, indexMaxKeys
// u32 @236, toast_max_chunk_size u32 @240, loblksize u32 @244, float8ByVal u8 @248, data_checksum_version u32 @252, then
//   15, 16, 17:  nonce 32 bytes @256, crc u32 @288
//   18:          default_char_signedness u8 @256, nonce 32 bytes @257, crc u32 @292
// The file is 8192 bytes, zero after the CRC, which covers all before it.  PG 15-18: pg_control.h

/** Size of the file global/pg_control. Unit: bytes. PG: PG_CONTROL_FILE_SIZE. */
export const PG_CONTROL_FILE_SIZE = 8192;
/** Length of the mock authentication nonce. Unit: bytes. PG: MOCK_AUTH_NONCE_LEN. */
export const MOCK_AUTH_NONCE_LEN = 32;
/** floatFormat of every cluster. PG: FLOATFORMAT_VALUE. */
export const FLOATFORMAT_VALUE = 1234567.0;

/** State of a cluster. PG: DBState, pg_control.h. */
export const DbState = {
  startup: 0,
  shutdowned: 1,
  shutdownedInRecovery: 2,
  shutdowning: 3,
  inCrashRecovery: 4,
  inArchiveRecovery: 5,
  inProduction: 6,
} as const;

/** Contents of global/pg_control. PG: ControlFileData, pg_control.h. */
export interface ControlFile {
  /** The major whose layout the file has; not a field of it. */
  readonly major: PgMajor;
  readonly systemId: SystemId;
  readonly catalogVersion: number;
  /** One of {@link DbState}. */
  readonly state: number;
  /** When the file was last written. Seconds since 1970. */
  readonly time: number;
  /** Where the latest checkpoint record begins. */
  readonly checkPoint: Lsn;
  readonly checkPointCopy: CheckPoint;
  /** Next fake LSN for unlogged relations; at least 1000. */
  readonly unloggedLsn: Lsn;
  readonly minRecoveryPoint: Lsn;
  readonly minRecoveryPointTimeline: number;
  readonly backupStartPoint: Lsn;
  readonly backupEndPoint: Lsn;
  readonly backupEndRequired: boolean;
  /** 0 minimal, 1 replica, 2 logical. */
  readonly walLevel: number;
  readonly walLogHints: boolean;
  readonly maxConnections: number;
  readonly maxWorkerProcesses: number;
  readonly maxWalSenders: number;
  readonly maxPreparedXacts: number;
  readonly maxLocksPerXact: number;
  readonly trackCommitTimestamp: boolean;
  readonly maxAlign: number;
  readonly floatFormat: number;
  readonly blockSize: number;
  /** Blocks in a relation segment. */
  readonly relationSegmentSize: number;
  readonly walBlockSize: number;
  /** Unit: bytes. */
  readonly walSegmentSize: number;
  readonly nameDataLength: number;
  readonly indexMaxKeys: number;
  readonly toastMaxChunkSize: number;
  readonly largeObjectBlockSize: number;
  readonly float8ByVal: boolean;
  /** 0 for a cluster without data checksums. */
  readonly dataChecksumVersion: number;
  /** Signedness of `char` where the cluster was made; always true below 18, which does not store it. */
  readonly defaultCharSignedness: boolean;
  /** 32 bytes, a copy. */
  readonly mockAuthenticationNonce: Uint8Array;
}

const MAJORS: readonly PgMajor[] = [18, 17, 16, 15];

/** The major whose control file version and catalog version these are; 15 and 16 share the former. */
function majorOf(controlVersion: number, catalogVersion: number): PgMajor | undefined {
  return MAJORS.find(
    (major) => formatOf(major).pgControlVersion === controlVersion && formatOf(major).catalogVersion === catalogVersion,
  );
}

/**
 * Decodes global/pg_control; its version says which layout it has. The bytes are not kept.
 * @throws ZenithError `unsupported-version` for a version that is not known
 * @throws CorruptionError when it is too short or its CRC is wrong
 */
export function decodeControlFile(bytes: Uint8Array): ControlFile {
  if (bytes.length < PG_CONTROL_FILE_SIZE)
    throw new CorruptionError(`the control file has ${bytes.length} bytes, expected ${PG_CONTROL_FILE_SIZE}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const controlVersion = view.getUint32(8, true);
  const catalogVersion = view.getUint32(12, true);
  const major = majorOf(controlVersion, catalogVersion);
  if (major === undefined) {
    throw new ZenithError<PgFormatErrorCode>(
      'unsupported-version',
      `the control file has version ${controlVersion}, catalog version ${catalogVersion}: expected that of PostgreSQL 15, 16, 17 or 18`,
    );
  }
  const format = formatOf(major);
  const stored = view.getUint32(format.controlFileCrcOffset, true);
  const computed = crc32c(bytes, 0, format.controlFileCrcOffset);
  if (stored !== computed)
    throw new CorruptionError('the control file has a wrong checksum', {
      source: 'global/pg_control',
      offset: format.controlFileCrcOffset,
    });
  return {
    major,
    systemId: view.getBigUint64(0, true).toString() as SystemId,
    catalogVersion,
    state: view.getInt32(16, true),
    time: Number(view.getBigInt64(24, true)),
    checkPoint: readLsn(view, 32),
    checkPointCopy: decodeCheckPoint(major, view, 40),
    unloggedLsn: readLsn(view, 128),
    minRecoveryPoint: readLsn(view, 136),
    minRecoveryPointTimeline: view.getUint32(144, true),
    backupStartPoint: readLsn(view, 152),
    backupEndPoint: readLsn(view, 160),
    backupEndRequired: view.getUint8(168) !== 0,
    walLevel: view.getInt32(172, true),
    walLogHints: view.getUint8(176) !== 0,
    maxConnections: view.getInt32(180, true),
    maxWorkerProcesses: view.getInt32(184, true),
    maxWalSenders: view.getInt32(188, true),
    maxPreparedXacts: view.getInt32(192, true),
    maxLocksPerXact: view.getInt32(196, true),
    trackCommitTimestamp: view.getUint8(200) !== 0,
    maxAlign: view.getUint32(204, true),
    floatFormat: view.getFloat64(208, true),
    blockSize: view.getUint32(216, true),
    relationSegmentSize: view.getUint32(220, true),
    walBlockSize: view.getUint32(224, true),
    walSegmentSize: view.getUint32(228, true),
    nameDataLength: view.getUint32(232, true),
    indexMaxKeys: view.getUint32(236, true),
    toastMaxChunkSize: view.getUint32(240, true),
    largeObjectBlockSize: view.getUint32(244, true),
    float8ByVal: view.getUint8(248) !== 0,
    dataChecksumVersion: view.getUint32(252, true),
    defaultCharSignedness: format.controlFileHasCharSignedness ? view.getUint8(256) !== 0 : true,
    mockAuthenticationNonce: bytes.slice(
      format.controlFileNonceOffset,
      format.controlFileNonceOffset + MOCK_AUTH_NONCE_LEN,
    ),
  };
}

/** The 8192 bytes of a control file in the layout of `file.major`, with its CRC, in a buffer of their own. */
export function encodeControlFile(file: ControlFile): Uint8Array {
  const format = formatOf(file.major);
  const bytes = new Uint8Array(PG_CONTROL_FILE_SIZE);
  const view = new DataView(bytes.buffer);
  assert(file.mockAuthenticationNonce.length === MOCK_AUTH_NONCE_LEN, 'encodeControlFile: the nonce has 32 bytes');
  view.setBigUint64(0, BigInt(file.systemId), true);
  view.setUint32(8, format.pgControlVersion, true);
  view.setUint32(12, file.catalogVersion, true);
  view.setInt32(16, file.state, true);
  view.setBigInt64(24, BigInt(file.time), true);
  writeLsn(view, 32, file.checkPoint);
  encodeCheckPoint(file.major, file.checkPointCopy, view, 40);
  writeLsn(view, 128, file.unloggedLsn);
  writeLsn(view, 136, file.minRecoveryPoint);
  view.setUint32(144, file.minRecoveryPointTimeline, true);
  writeLsn(view, 152, file.backupStartPoint);
  writeLsn(view, 160, file.backupEndPoint);
  view.setUint8(168, file.backupEndRequired ? 1 : 0);
  view.setInt32(172, file.walLevel, true);
  view.setUint8(176, file.walLogHints ? 1 : 0);
  view.setInt32(180, file.maxConnections, true);
  view.setInt32(184, file.maxWorkerProcesses, true);
  view.setInt32(188, file.maxWalSenders, true);
  view.setInt32(192, file.maxPreparedXacts, true);
  view.setInt32(196, file.maxLocksPerXact, true);
  view.setUint8(200, file.trackCommitTimestamp ? 1 : 0);
  view.setUint32(204, file.maxAlign, true);
  view.setFloat64(208, file.floatFormat, true);
  view.setUint32(216, file.blockSize, true);
  view.setUint32(220, file.relationSegmentSize, true);
  view.setUint32(224, file.walBlockSize, true);
  view.setUint32(228, file.walSegmentSize, true);
  view.setUint32(232, file.nameDataLength, true);
  view.setUint32(236, file.indexMaxKeys, true);
  view.setUint32(240, file.toastMaxChunkSize, true);
  view.setUint32(244, file.largeObjectBlockSize, true);
  view.setUint8(248, file.float8ByVal ? 1 : 0);
  view.setUint32(252, file.dataChecksumVersion, true);
  if (format.controlFileHasCharSignedness) view.setUint8(256, file.defaultCharSignedness ? 1 : 0);
  bytes.set(file.mockAuthenticationNonce, format.controlFileNonceOffset);
  view.setUint32(format.controlFileCrcOffset, crc32c(bytes, 0, format.controlFileCrcOffset), true);
  return bytes;
}
