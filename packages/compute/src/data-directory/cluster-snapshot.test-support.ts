import { PG_TIMELINE, type Lsn } from '@zenith/base';
import {
  WalRecord,
  WalStreamDecoder,
  decodeControlFile,
  parseRelationPath,
  walSegmentFileName,
  walSegmentNumber,
  type ControlFile,
  type PgMajor,
} from '@zenith/pg-format';
import { encodeSnapshotHeader, type SnapshotManifest, type SnapshotRelation } from '@zenith/wire';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A cleanly shut down cluster of stock PostgreSQL as a pageserver would describe it. */
export interface ClusterSnapshot {
  readonly manifest: SnapshotManifest;
  readonly control: ControlFile;
  /** The encoded snapshot. */
  readonly bytes: Uint8Array;
}

const KEPT =
  /^(?:PG_VERSION|base\/\d+\/(?:PG_VERSION|pg_filenode\.map)|global\/(?:pg_control|pg_filenode\.map)|pg_xact\/.*|pg_multixact\/.*|pg_commit_ts\/.*|pg_twophase\/.*|pg_tblspc\/\d+\/[^/]+\/\d+\/(?:PG_VERSION|pg_filenode\.map))$/;

/** Where the WAL of a cleanly shut down cluster ends. */
export function endOfWal(pgdata: string, control: ControlFile): Lsn {
  const { checkPoint, walSegmentSize, major } = control;
  const segment = readFileSync(
    join(
      pgdata,
      'pg_wal',
      walSegmentFileName(PG_TIMELINE, walSegmentNumber(checkPoint, walSegmentSize), walSegmentSize),
    ),
  );
  const decoder = new WalStreamDecoder(major, checkPoint);
  decoder.push(segment.subarray(checkPoint % walSegmentSize));
  if (!decoder.next(new WalRecord())) throw new Error(`no checkpoint record: ${decoder.end?.message}`);
  return decoder.position;
}

/** Takes the snapshot at the end of the WAL, or, as if there had been more WAL that changed nothing, at a later LSN. */
export function snapshotOfCluster(pgdata: string, major: PgMajor, at?: Lsn): ClusterSnapshot {
  const paths = readdirSync(pgdata, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(pgdata, join(entry.parentPath, entry.name)));
  const control = decodeControlFile(readFileSync(join(pgdata, 'global/pg_control')));
  const relations = new Map<string, SnapshotRelation>();
  const databases = new Map<number, { spc: number; db: number }>();
  for (const path of paths) {
    const file = parseRelationPath(major, path);
    if (file === undefined || file.fork === 1) continue;
    const { spc, db, rel, fork } = file;
    const key = `${spc}/${db}/${rel}/${fork}`;
    const blocks = statSync(join(pgdata, path)).size / 8192 + (relations.get(key)?.blocks ?? 0);
    relations.set(key, { spc, db, rel, fork, blocks });
    if (db !== 0) databases.set(db, { spc, db });
  }
  const files = paths
    .filter((path) => KEPT.test(path))
    .map((path) => ({ path, size: statSync(join(pgdata, path)).size }));
  const manifest: SnapshotManifest = {
    lsn: at ?? endOfWal(pgdata, control),
    pgMajor: major,
    systemId: control.systemId,
    checkpoint: control.checkPointCopy,
    databases: [...databases.values()],
    tablespaces: [],
    relations: [...relations.values()],
    files,
  };
  const checkpoint = { ...control.checkPointCopy, redo: undefined } as unknown as SnapshotManifest['checkpoint'];
  const header = encodeSnapshotHeader({ ...manifest, checkpoint });
  return {
    manifest,
    control,
    bytes: Buffer.concat([header, ...files.map(({ path }) => readFileSync(join(pgdata, path)))]),
  };
}
