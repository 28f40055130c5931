import { setImmediate } from 'node:timers/promises';
import type { Lsn } from '@zenith/base';
import {
  BLCKSZ,
  RELMAPPER_FILENAME,
  SLRU_PAGES_PER_SEGMENT,
  TWOPHASE_DIR,
  databasePath,
  decodeCheckPoint,
  decodeControlFile,
  fullXid,
  slruFileName,
  twoPhaseFileName,
  type CheckPoint,
} from '@zenith/pg-format';
import type { SnapshotCheckpoint, SnapshotManifest, SnapshotRelation } from '@zenith/wire';
import { PageserverError } from '../errors.ts';
import { decodeSize } from '../ingest/object-sizes.ts';
import { SLRU_GEOMETRY } from '../ingest/slru-geometry.ts';
import { decodeTablespace } from '../ingest/tablespace-location.ts';
import { ObjectKind, type SlruKind } from '../key-space/object.ts';
import type { ScannedKey } from '../timeline/scan.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { encodeOriginFile, remoteLsnOfValue, type OriginProgress } from './origin-file.ts';

/** A snapshot: its manifest and the bytes of each file of it, in the same order. */
export interface Snapshot {
  readonly manifest: SnapshotManifest;
  readonly contents: readonly Uint8Array[];
}

/** The files of a snapshot while it is built. */
class FileSet {
  readonly files: { readonly path: string; readonly size: number }[] = [];
  readonly contents: Uint8Array[] = [];

  add(path: string, content: Uint8Array): void {
    this.files.push({ path, size: content.length });
    this.contents.push(content);
  }
}

/**
 * Gathers what a data directory of the timeline at `lsn` holds besides the pages of relations. History does not change, so the work goes on in slices and is consistent all the same;
 * `lsn` must be readable (Timeline.waitForLsn()).
 * @throws StorageError `lsn-not-available`; PageserverError `not-imported`; CorruptionError
 */
export async function buildSnapshot(timeline: Timeline, lsn: Lsn): Promise<Snapshot> {
  const { pgMajor } = timeline;
  const files = new FileSet();
  files.add('PG_VERSION', new TextEncoder().encode(`${pgMajor}\n`));
  const controlFile = readSmall(timeline, ObjectKind.controlFile, lsn);
  files.add('global/pg_control', controlFile);

  const databases = collect(timeline, ObjectKind.database, lsn, ({ spc, db }, value) => {
    files.add(`${databasePath(pgMajor, spc, db)}/PG_VERSION`, value.slice());
    return { spc, db };
  });
  collect(timeline, ObjectKind.relationMap, lsn, ({ spc, db }, value) =>
    files.add(`${databasePath(pgMajor, spc, db)}/${RELMAPPER_FILENAME}`, value.slice()),
  );
  collect(timeline, ObjectKind.twoPhase, lsn, ({ spc, db }, value) =>
    files.add(`${TWOPHASE_DIR}/${twoPhaseFileName(pgMajor, fullXid(spc, db))}`, value.slice()),
  );
  const origins = collect(timeline, ObjectKind.replicationOrigin, lsn, ({ spc }, value): OriginProgress => ({
    origin: spc,
    remoteLsn: remoteLsnOfValue(value),
  }));
  if (origins.length > 0) files.add('pg_logical/replorigin_checkpoint', encodeOriginFile(origins));
  const tablespaces = collect(timeline, ObjectKind.tablespace, lsn, ({ spc }, value) => ({
    oid: spc,
    location: decodeTablespace(value),
  }));
  await setImmediate();
  await addSlruFiles(timeline, lsn, files);
  const relations = collect(
    timeline,
    ObjectKind.relationSize,
    lsn,
    ({ spc, db, rel, fork }, value): SnapshotRelation => ({ spc, db, rel, fork, blocks: decodeSize(value) }),
  );

  const checkpoint = readSmall(timeline, ObjectKind.checkpoint, lsn);
  const manifest: SnapshotManifest = {
    lsn,
    pgMajor,
    systemId: decodeControlFile(controlFile).systemId,
    checkpoint: snapshotCheckpoint(
      decodeCheckPoint(pgMajor, new DataView(checkpoint.buffer, checkpoint.byteOffset, checkpoint.byteLength), 0),
    ),
    databases,
    tablespaces,
    relations,
    files: files.files,
  };
  return { manifest, contents: files.contents };
}

function readSmall(timeline: Timeline, kind: ObjectKind, lsn: Lsn): Uint8Array {
  const value = timeline.readSmall(timeline.find(kind, 0, 0, 0, 0), lsn);
  if (value === undefined || value.length === 0)
    throw new PageserverError('not-imported', `timeline ${timeline.timeline} has no cluster in it`);
  return value;
}

function collect<T>(
  timeline: Timeline,
  kind: ObjectKind,
  lsn: Lsn,
  each: (key: ScannedKey, value: Uint8Array) => T,
): T[] {
  const found: T[] = [];
  timeline.scan(kind, lsn, (key, value) => found.push(each(key, value)));
  return found;
}

/** A segment file has the pages that exist in it, as on a server's disk. */
async function addSlruFiles(timeline: Timeline, lsn: Lsn, files: FileSet): Promise<void> {
  const segments = collect(timeline, ObjectKind.slruSize, lsn, ({ spc, rel }, value) => ({
    slru: spc as SlruKind,
    segment: rel,
    pages: Math.min(decodeSize(value), SLRU_PAGES_PER_SEGMENT),
  }));
  for (const { slru, segment, pages } of segments) {
    const content = new Uint8Array(pages * BLCKSZ);
    if (pages > 0) timeline.readPages(timeline.find(ObjectKind.slru, slru, 0, segment, 0), 0, pages, lsn, content, 0);
    files.add(`${SLRU_GEOMETRY[slru].directory}/${slruFileName(segment)}`, content);
    await setImmediate();
  }
}

function snapshotCheckpoint(checkPoint: CheckPoint): SnapshotCheckpoint {
  const {
    nextXid,
    nextOid,
    nextMulti,
    nextMultiOffset,
    oldestXid,
    oldestXidDb,
    oldestMulti,
    oldestMultiDb,
    oldestCommitTsXid,
    newestCommitTsXid,
    walLevel,
  } = checkPoint;
  return {
    nextXid,
    nextOid,
    nextMulti,
    nextMultiOffset,
    oldestXid,
    oldestXidDb,
    oldestMulti,
    oldestMultiDb,
    oldestCommitTsXid,
    newestCommitTsXid,
    walLevel,
  };
}
