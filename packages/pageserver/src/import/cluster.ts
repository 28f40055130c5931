import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { CorruptionError, PG_TIMELINE, ZenithError, formatLsn, type Lsn, type SystemId } from '@zenith/base';
import {
  BLCKSZ,
  DbState,
  PG_DATA_CHECKSUM_VERSION,
  RELSEG_SIZE,
  RM_XLOG_ID,
  SIZE_OF_CHECK_POINT,
  WalRecord,
  WalStreamDecoder,
  XLOG_BLCKSZ,
  XLOG_CHECKPOINT_SHUTDOWN,
  XLR_RMGR_INFO_MASK,
  decodeControlFile,
  walSegmentFileName,
  walSegmentNumber,
  type ControlFile,
  type PgMajor,
} from '@zenith/pg-format';
import { PageserverError } from '../errors.ts';

/** More than a checkpoint record with the page header that it may cross. Unit: bytes. */
const CHECKPOINT_READ_BYTES = 2 * XLOG_BLCKSZ;

/** A data directory that can be imported. */
export interface Cluster {
  readonly path: string;
  readonly pgMajor: PgMajor;
  readonly systemId: SystemId;
  /** True when every page that is not new carries a checksum. */
  readonly dataChecksums: boolean;
  /** End of the shutdown checkpoint record: the LSN that what is in the directory is the state of. */
  readonly lsn: Lsn;
  /** Content of global/pg_control. */
  readonly controlFile: Uint8Array;
  /** The shutdown checkpoint, 88 bytes. */
  readonly checkpoint: Uint8Array;
}

/**
 * Looks at a data directory and holds that it can be imported: a cluster of a known version that was shut down cleanly and is not in use.
 * @throws PageserverError `not-a-data-directory`, `not-shut-down`, `unsupported-cluster`; CorruptionError
 */
export function inspectCluster(path: string): Cluster {
  const controlFile = readControlFile(path);
  const control = decode(path, controlFile);
  if (existsSync(join(path, 'postmaster.pid')))
    throw new PageserverError('not-shut-down', `${path} is in use: it has a postmaster.pid; stop its server first`);
  if (control.state !== DbState.shutdowned)
    throw new PageserverError(
      'not-shut-down',
      `the server of ${path} was not shut down cleanly: start it and stop it with 'pg_ctl stop -m fast' first`,
    );
  requireSupported(path, control);
  const { lsn, checkpoint } = readShutdownCheckpoint(path, control);
  return {
    path,
    pgMajor: control.major,
    systemId: control.systemId,
    dataChecksums: control.dataChecksumVersion !== 0,
    lsn,
    controlFile,
    checkpoint,
  };
}

function readControlFile(path: string): Uint8Array {
  try {
    return readFileSync(join(path, 'global', 'pg_control'));
  } catch (cause) {
    throw new PageserverError(
      'not-a-data-directory',
      `${path} is not a PostgreSQL data directory: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function decode(path: string, controlFile: Uint8Array): ControlFile {
  try {
    return decodeControlFile(controlFile);
  } catch (cause) {
    if (!(cause instanceof ZenithError)) throw cause;
    throw new PageserverError('unsupported-cluster', `${path}: ${cause.message}`, { cause });
  }
}

function requireSupported(path: string, control: ControlFile): void {
  if (
    control.blockSize !== BLCKSZ ||
    control.walBlockSize !== XLOG_BLCKSZ ||
    control.relationSegmentSize !== RELSEG_SIZE
  ) {
    throw new PageserverError(
      'unsupported-cluster',
      `${path} was made by a PostgreSQL with other block or segment sizes than the usual ones`,
    );
  }
  if (control.dataChecksumVersion > PG_DATA_CHECKSUM_VERSION)
    throw new PageserverError(
      'unsupported-cluster',
      `${path} has data checksums of version ${control.dataChecksumVersion}: only version ${PG_DATA_CHECKSUM_VERSION} is known`,
    );
  if (control.checkPointCopy.pgTimeline !== PG_TIMELINE) {
    throw new PageserverError(
      'unsupported-cluster',
      `${path} is on timeline ${control.checkPointCopy.pgTimeline} of PostgreSQL: only clusters that were never promoted or restored can be imported`,
    );
  }
}

/** Reads the record that pg_control names, from the WAL. */
function readShutdownCheckpoint(path: string, control: ControlFile): { lsn: Lsn; checkpoint: Uint8Array } {
  const { checkPoint, walSegmentSize, systemId, major } = control;
  const file = join(
    path,
    'pg_wal',
    walSegmentFileName(PG_TIMELINE, walSegmentNumber(checkPoint, walSegmentSize), walSegmentSize),
  );
  const decoder = new WalStreamDecoder(major, checkPoint, { systemId, segmentSize: walSegmentSize });
  const record = new WalRecord();
  decoder.push(readPart(file, checkPoint % walSegmentSize));
  if (!decoder.next(record))
    throw new CorruptionError(
      `the checkpoint record at ${formatLsn(checkPoint)} cannot be read: ${decoder.end?.message ?? 'the file ends in it'}`,
      { source: file },
    );
  if (
    record.rmid !== RM_XLOG_ID ||
    (record.info & XLR_RMGR_INFO_MASK) !== XLOG_CHECKPOINT_SHUTDOWN ||
    record.mainDataLength !== SIZE_OF_CHECK_POINT
  ) {
    throw new CorruptionError(`the record at ${formatLsn(checkPoint)} is not a shutdown checkpoint`, { source: file });
  }
  return {
    lsn: record.endLsn,
    checkpoint: record.bytes.slice(record.mainDataOffset, record.mainDataOffset + SIZE_OF_CHECK_POINT),
  };
}

function readPart(file: string, offset: number): Uint8Array {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    throw new CorruptionError('the WAL of the shutdown checkpoint is not there', { source: file }, { cause });
  }
  try {
    const bytes = new Uint8Array(CHECKPOINT_READ_BYTES);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset));
  } finally {
    closeSync(fd);
  }
}
