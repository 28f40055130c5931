import { existsSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  DEFAULTTABLESPACE_OID,
  FSM_FORKNUM,
  GLOBALTABLESPACE_OID,
  INIT_FORKNUM,
  RELSEG_SIZE,
  TWOPHASE_DIR,
  databasePath,
  parseRelationFileName,
  parseSlruFileName,
  parseTwoPhaseFileName,
  relationPath,
  type PgMajor,
} from '@zenith/pg-format';
import { SlruKind } from '../key-space/object.ts';
import { SLRU_GEOMETRY } from '../ingest/slru-geometry.ts';

/** A directory that holds the relations of a database, or the shared ones (db 0). */
export interface DatabaseDirectory {
  readonly spc: number;
  readonly db: number;
  /** Relative to the data directory. */
  readonly path: string;
}

/** A fork of a relation. */
export interface ForkFiles {
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  /** Unit: blocks. */
  readonly blocks: number;
  /** Its segment files in order, relative to the data directory. */
  readonly segments: readonly string[];
}

/** A segment file of an SLRU. */
export interface SlruFile {
  readonly slru: SlruKind;
  readonly segment: number;
  /** Unit: pages. */
  readonly pages: number;
  /** Relative to the data directory. */
  readonly path: string;
}

/** The database directories of a data directory, the shared one included, sorted by tablespace and database. */
export function listDatabases(root: string, major: PgMajor): DatabaseDirectory[] {
  const found: DatabaseDirectory[] = [{ spc: GLOBALTABLESPACE_OID, db: 0, path: 'global' }];
  const add = (spc: number): void => {
    const parent = databasePath(major, spc, 0).slice(0, -2);
    if (!existsSync(join(root, parent))) return;
    for (const name of readdirSync(join(root, parent))) {
      if (/^[1-9][0-9]{0,9}$/.test(name)) found.push({ spc, db: Number(name), path: `${parent}/${name}` });
    }
  };
  add(DEFAULTTABLESPACE_OID);
  for (const { oid } of listTablespaces(root)) add(oid);
  return found.sort((a, b) => a.spc - b.spc || a.db - b.db);
}

/** Tablespaces besides the two that every cluster has; the location of one in place is ''. */
export function listTablespaces(root: string): { readonly oid: number; readonly location: string }[] {
  return readdirSync(join(root, 'pg_tblspc'))
    .filter((name) => /^[1-9][0-9]{0,9}$/.test(name))
    .map((name) => {
      const path = join(root, 'pg_tblspc', name);
      return { oid: Number(name), location: lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '' };
    })
    .sort((a, b) => a.oid - b.oid);
}

/**
 * The relation forks in a database directory, sorted by relation and fork. Left out: free-space maps, temporary relations, and all but the init fork of unlogged relations, which a
 * start of the server resets.
 * @throws CorruptionError for a file that is not made of whole blocks, or a segment that is missing
 */
export function listForks(root: string, major: PgMajor, { spc, db, path }: DatabaseDirectory): ForkFiles[] {
  const forks = new Map<string, { rel: number; fork: number; sizes: Map<number, number> }>();
  const unlogged = new Set<number>();
  for (const name of readdirSync(join(root, path))) {
    const file = parseRelationFileName(name);
    if (file === undefined || file.fork === FSM_FORKNUM) continue;
    if (file.fork === INIT_FORKNUM) unlogged.add(file.rel);
    const key = `${file.rel} ${file.fork}`;
    const known = forks.get(key) ?? { rel: file.rel, fork: file.fork, sizes: new Map<number, number>() };
    known.sizes.set(file.segment, blocksOf(join(root, path, name)));
    forks.set(key, known);
  }
  return [...forks.values()]
    .filter(({ rel, fork }) => fork === INIT_FORKNUM || !unlogged.has(rel))
    .map(({ rel, fork, sizes }) => {
      const segments = Array.from({ length: sizes.size }, (_, segment) =>
        relationPath(major, { spc, db, rel, fork, segment }),
      );
      return { spc, db, rel, fork, segments, blocks: totalBlocks(sizes, segments) };
    })
    .sort((a, b) => a.rel - b.rel || a.fork - b.fork);
}

function blocksOf(file: string): number {
  const { size } = statSync(file);
  if (size % BLCKSZ !== 0) throw new CorruptionError(`${size} bytes are not whole blocks`, { source: file });
  return size / BLCKSZ;
}

/** Segments are full up to the last one; empty ones may follow it, left by a truncation. */
function totalBlocks(sizes: ReadonlyMap<number, number>, segments: readonly string[]): number {
  let total = 0;
  let ended = false;
  segments.forEach((path, segment) => {
    const blocks = sizes.get(segment);
    if (blocks === undefined) throw new CorruptionError('a segment of a relation is missing', { source: path });
    if (ended && blocks > 0) throw new CorruptionError('a segment follows one that is not full', { source: path });
    total += blocks;
    ended = blocks < RELSEG_SIZE;
  });
  return total;
}

/** The segments of all SLRUs, in the order of their keys. @throws CorruptionError for a file that is not made of whole pages */
export function listSlruFiles(root: string): SlruFile[] {
  const found: SlruFile[] = [];
  for (const slru of Object.values(SlruKind)) {
    const { directory } = SLRU_GEOMETRY[slru];
    if (!existsSync(join(root, directory))) continue;
    for (const name of readdirSync(join(root, directory))) {
      const segment = parseSlruFileName(name);
      if (segment !== undefined)
        found.push({ slru, segment, path: `${directory}/${name}`, pages: blocksOf(join(root, directory, name)) });
    }
  }
  return found.sort((a, b) => a.slru - b.slru || a.segment - b.segment);
}

/** The state files of prepared transactions. */
export function listTwoPhaseFiles(root: string, major: PgMajor): { readonly xid: bigint; readonly path: string }[] {
  return readdirSync(join(root, TWOPHASE_DIR)).flatMap((name) => {
    const xid = parseTwoPhaseFileName(major, name);
    return xid === undefined ? [] : [{ xid, path: `${TWOPHASE_DIR}/${name}` }];
  });
}
