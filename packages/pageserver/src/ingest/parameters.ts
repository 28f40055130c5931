import { CorruptionError, crc32c, type SystemId } from '@zenith/base';
import { formatOf, type PgMajor } from '@zenith/pg-format';

// ControlFileData: system_identifier u64 @0, wal_level i32 @172, wal_log_hints u8 @176, MaxConnections i32 @180, max_worker_processes @184, max_wal_senders @188, max_prepared_xacts @192,
// max_locks_per_xact @196, track_commit_timestamp u8 @200, xlog_seg_size u32 @228.  PG 15-18: pg_control.h
const SYSTEM_ID = 0,
  WAL_LEVEL = 172,
  WAL_LOG_HINTS = 176,
  MAX_CONNECTIONS = 180,
  TRACK_COMMIT_TIMESTAMP = 200,
  XLOG_SEG_SIZE = 228;

// xl_parameter_change: MaxConnections i32 @0, max_worker_processes @4, max_wal_senders @8, max_prepared_xacts @12, max_locks_per_xact @16, wal_level i32 @20,
// wal_log_hints u8 @24, track_commit_timestamp u8 @25.  PG 15-18: xlog_internal.h
const COUNTS = 5;
const SOURCE_WAL_LEVEL = 20,
  SOURCE_WAL_LOG_HINTS = 24,
  SOURCE_TRACK_COMMIT_TIMESTAMP = 25;

/** Size of the main data of XLOG_PARAMETER_CHANGE. Unit: bytes. */
export const PARAMETER_CHANGE_SIZE = 26;

/** The cluster's pg_control: as it was imported, with the parameter changes of the WAL since. */
export class ParameterState {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #crcOffset: number;

  /** @param controlFile the content of pg_control; copied. @throws CorruptionError when it is too short to be one */
  constructor(major: PgMajor, controlFile: Uint8Array) {
    this.#crcOffset = formatOf(major).controlFileCrcOffset;
    if (controlFile.length < this.#crcOffset + 4)
      throw new CorruptionError(`a control file of ${controlFile.length} bytes`, { source: 'pg_control' });
    this.#bytes = Uint8Array.from(controlFile);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** The control file; borrowed, it changes with the next call of {@link apply}. */
  get controlFile(): Uint8Array {
    return this.#bytes;
  }

  /** System identifier of the cluster. */
  get systemId(): SystemId {
    return this.#view.getBigUint64(SYSTEM_ID, true).toString() as SystemId;
  }

  /** Size of a WAL segment. Unit: bytes. */
  get walSegmentSize(): number {
    return this.#view.getUint32(XLOG_SEG_SIZE, true);
  }

  /** True when commits leave timestamps. */
  get trackCommitTimestamp(): boolean {
    return this.#bytes[TRACK_COMMIT_TIMESTAMP] === 1;
  }

  /** Takes over an xl_parameter_change at `offset` of `view`. PG: xlog_redo(), XLOG_PARAMETER_CHANGE. */
  apply(view: DataView, offset: number): void {
    for (let i = 0; i < COUNTS; i++)
      this.#view.setInt32(MAX_CONNECTIONS + i * 4, view.getInt32(offset + i * 4, true), true);
    this.#view.setInt32(WAL_LEVEL, view.getInt32(offset + SOURCE_WAL_LEVEL, true), true);
    this.#bytes[WAL_LOG_HINTS] = view.getUint8(offset + SOURCE_WAL_LOG_HINTS);
    this.#bytes[TRACK_COMMIT_TIMESTAMP] = view.getUint8(offset + SOURCE_TRACK_COMMIT_TIMESTAMP);
    this.#view.setUint32(this.#crcOffset, crc32c(this.#bytes, 0, this.#crcOffset), true);
  }
}
