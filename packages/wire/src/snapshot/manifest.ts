import { CorruptionError, formatLsn, parseLsn, type Lsn, type SystemId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';

/** The counters a compute puts into its synthetic checkpoint record and into pg_control. PG: CheckPoint, pg_control.h. */
export interface SnapshotCheckpoint {
  /** Next full transaction id: epoch in the high, xid in the low 32 bits. */
  readonly nextXid: bigint;
  /** Next object id. */
  readonly nextOid: number;
  /** Next multixact id. */
  readonly nextMulti: number;
  /** Next offset into the multixact members. */
  readonly nextMultiOffset: number;
  /** Oldest transaction id that any row may still carry unfrozen. */
  readonly oldestXid: number;
  /** The database that holds `oldestXid` back. */
  readonly oldestXidDb: number;
  /** Oldest multixact id that any row may still carry. */
  readonly oldestMulti: number;
  /** The database that holds `oldestMulti` back. */
  readonly oldestMultiDb: number;
  /** Oldest transaction id with a commit timestamp, 0 when they are not tracked. */
  readonly oldestCommitTsXid: number;
  /** Newest transaction id with a commit timestamp, 0 when they are not tracked. */
  readonly newestCommitTsXid: number;
  /** wal_level as the last checkpoint had it. PG: WalLevel, xlog.h. */
  readonly walLevel: number;
}

/** One relation fork that exists at the snapshot's LSN. */
export interface SnapshotRelation {
  /** Tablespace oid. */
  readonly spc: number;
  /** Database oid, 0 for shared relations. */
  readonly db: number;
  /** Relfilenode. */
  readonly rel: number;
  /** Fork number: 0 main, 2 vm, 3 init. */
  readonly fork: number;
  /** Size of the fork. Unit: blocks. */
  readonly blocks: number;
}

/** One file whose bytes follow the manifest. */
export interface SnapshotFile {
  /** Path relative to the data directory, `/` between its parts. */
  readonly path: string;
  /** Unit: bytes. */
  readonly size: number;
}

/** What a snapshot holds besides the bytes of its files. */
export interface SnapshotManifest {
  /** The LSN X at which all of it is consistent. */
  readonly lsn: Lsn;
  /** PostgreSQL major version of the cluster. */
  readonly pgMajor: PgMajor;
  /** System identifier of the cluster. */
  readonly systemId: SystemId;
  /** The cluster's counters at X. */
  readonly checkpoint: SnapshotCheckpoint;
  /** Database directories that exist, the shared one excluded. */
  readonly databases: readonly { readonly spc: number; readonly db: number }[];
  /** Tablespaces besides pg_default and pg_global. */
  readonly tablespaces: readonly { readonly oid: number; readonly location: string }[];
  /** Relation forks that exist, the free-space maps excluded. */
  readonly relations: readonly SnapshotRelation[];
  /** The files, in the order of their bytes. */
  readonly files: readonly SnapshotFile[];
}

const COUNTERS = [
  'nextOid',
  'nextMulti',
  'nextMultiOffset',
  'oldestXid',
  'oldestXidDb',
  'oldestMulti',
  'oldestMultiDb',
  'oldestCommitTsXid',
  'newestCommitTsXid',
  'walLevel',
] as const satisfies readonly (keyof SnapshotCheckpoint)[];

/** Numbers per relation in the flat `relations` array. */
const RELATION_WIDTH = 5;

/** Longest path a file of a snapshot may have. Unit: UTF-16 units. */
const PATH_LENGTH_MAX = 255;

/** Largest file a snapshot may hold; the largest real one is an SLRU segment of 256 KiB. Unit: bytes. */
export const SNAPSHOT_FILE_BYTES_MAX = 64 * 1024 * 1024;

/** The manifest as the JSON text that is sent. */
export function manifestToJson(manifest: SnapshotManifest): string {
  const relations: number[] = [];
  for (const { spc, db, rel, fork, blocks } of manifest.relations) relations.push(spc, db, rel, fork, blocks);
  return JSON.stringify({
    ...manifest,
    lsn: formatLsn(manifest.lsn),
    checkpoint: { ...manifest.checkpoint, nextXid: manifest.checkpoint.nextXid.toString() },
    relations,
  });
}

function bad(what: string): CorruptionError {
  return new CorruptionError(`snapshot manifest: ${what}`, { source: 'snapshot' });
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function array(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${what} is not an array`);
  return value as readonly unknown[];
}

function uint32(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
    throw bad(`${what} is not an unsigned 32-bit number`);
  return value;
}

function string(value: unknown, what: string): string {
  if (typeof value !== 'string') throw bad(`${what} is not a string`);
  return value;
}

function fullXid(value: unknown): bigint {
  const text = string(value, 'checkpoint.nextXid');
  if (!/^\d{1,20}$/.test(text)) throw bad('checkpoint.nextXid is not a number');
  return BigInt.asUintN(64, BigInt(text));
}

/** A path that stays below the directory it is joined to: relative, no `.` or `..`, plain characters only. */
function relativePath(value: unknown): string {
  const path = string(value, 'a file path');
  const parts = path.split('/');
  if (
    path.length > PATH_LENGTH_MAX ||
    parts.some((part) => !/^[A-Za-z0-9_.]+$/.test(part) || part === '.' || part === '..')
  ) {
    throw bad(`'${path.slice(0, PATH_LENGTH_MAX)}' is not a path inside of a data directory`);
  }
  return path;
}

function fileSize(value: unknown): number {
  const size = uint32(value, 'a file size');
  if (size > SNAPSHOT_FILE_BYTES_MAX)
    throw bad(`a file of ${size} bytes is larger than the bound of ${SNAPSHOT_FILE_BYTES_MAX}`);
  return size;
}

function pgMajor(value: unknown): PgMajor {
  if (value !== 15 && value !== 16 && value !== 17 && value !== 18)
    throw bad(`unknown PostgreSQL version ${String(value)}`);
  return value;
}

function relations(flat: readonly unknown[]): SnapshotRelation[] {
  if (flat.length % RELATION_WIDTH !== 0) throw bad(`relations are not groups of ${RELATION_WIDTH} numbers`);
  const at = (index: number): number => uint32(flat[index], 'a number of relations');
  const result: SnapshotRelation[] = [];
  for (let i = 0; i < flat.length; i += RELATION_WIDTH) {
    result.push({ spc: at(i), db: at(i + 1), rel: at(i + 2), fork: at(i + 3), blocks: at(i + 4) });
  }
  return result;
}

/** Reads the JSON text of a manifest; everything in it is checked. @throws CorruptionError */
export function manifestFromJson(text: string): SnapshotManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CorruptionError('snapshot manifest: not JSON', { source: 'snapshot' }, { cause });
  }
  const root = object(json, 'the manifest');
  const checkpoint = object(root['checkpoint'], 'checkpoint');
  const systemId = string(root['systemId'], 'systemId');
  if (!/^\d{1,20}$/.test(systemId)) throw bad('systemId is not a number');
  const counters = Object.fromEntries(
    COUNTERS.map((name) => [name, uint32(checkpoint[name], `checkpoint.${name}`)]),
  ) as Omit<SnapshotCheckpoint, 'nextXid'>;
  return {
    lsn: parseLsn(string(root['lsn'], 'lsn')),
    pgMajor: pgMajor(root['pgMajor']),
    systemId: systemId as SystemId,
    checkpoint: { nextXid: fullXid(checkpoint['nextXid']), ...counters },
    databases: array(root['databases'], 'databases').map((value) => {
      const { spc, db } = object(value, 'a database');
      return { spc: uint32(spc, 'a tablespace oid'), db: uint32(db, 'a database oid') };
    }),
    tablespaces: array(root['tablespaces'], 'tablespaces').map((value) => {
      const { oid, location } = object(value, 'a tablespace');
      return { oid: uint32(oid, 'a tablespace oid'), location: string(location, 'a tablespace location') };
    }),
    relations: relations(array(root['relations'], 'relations')),
    files: array(root['files'], 'files').map((value) => {
      const { path, size } = object(value, 'a file');
      return { path: relativePath(path), size: fileSize(size) };
    }),
  };
}
