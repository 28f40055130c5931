import { join } from 'node:path';
import {
  BLCKSZ,
  FSM_FORKNUM,
  INIT_FORKNUM,
  MAIN_FORKNUM,
  RELSEG_SIZE,
  relationPath,
  type PgMajor,
} from '@zenith/pg-format';
import type { PageRelation, SnapshotRelation } from '@zenith/wire';
import type { FileMaker } from './layout.ts';

/** Where relation files go and who hears of those whose blocks are missing. */
export interface RelationFilesOptions {
  readonly pgdata: string;
  readonly major: PgMajor;
  readonly files: FileMaker;
  /** Called for each fork that was made of holes: its blocks are to be fetched when they are read. */
  readonly onMissing: (relation: PageRelation, blocks: number) => void;
}

/** What was made. */
export interface RelationFilesResult {
  /** Files made. */
  readonly files: number;
  /** Size of all relations. Unit: blocks. */
  readonly blocks: number;
  /** The init forks of unlogged relations: their main forks are still to be made, as copies of them. */
  readonly unlogged: readonly SnapshotRelation[];
}

/**
 * Makes the segment files of all forks, sparse and of their right size. Of an unlogged relation only the init fork is made: its contents do not outlive a start, nor do its
 * visibility and free-space maps. PG: ResetUnloggedRelations(), reinit.c, which does the same after a crash. Synchronous: a thousand files take 20 ms this way, three times as long otherwise.
 */
export function makeRelationFiles(
  relations: readonly SnapshotRelation[],
  options: RelationFilesOptions,
): RelationFilesResult {
  const unlogged = relations.filter(({ fork }) => fork === INIT_FORKNUM);
  const isUnlogged = new Set(unlogged.map(keyOf));
  let files = 0;
  let blocks = 0;
  for (const relation of relations) {
    if (relation.fork === FSM_FORKNUM || (relation.fork !== INIT_FORKNUM && isUnlogged.has(keyOf(relation)))) continue;
    files += makeSegments(relation, relation.blocks, options);
    blocks += relation.blocks;
    if (relation.blocks > 0)
      options.onMissing(
        { spc: relation.spc, db: relation.db, rel: relation.rel, fork: relation.fork },
        relation.blocks,
      );
  }
  return { files, blocks, unlogged };
}

/** Makes the main fork of an unlogged relation as it is after a start: a copy of its init fork, all of it local. */
export function makeUnloggedMainFork(
  init: SnapshotRelation,
  pages: Uint8Array,
  { pgdata, major, files }: Omit<RelationFilesOptions, 'onMissing'>,
): void {
  files.make(
    join(pgdata, relationPath(major, { spc: init.spc, db: init.db, rel: init.rel, fork: MAIN_FORKNUM, segment: 0 })),
    pages,
  );
}

function makeSegments(relation: PageRelation, blocks: number, { pgdata, major, files }: RelationFilesOptions): number {
  let segment = 0;
  do {
    const inSegment = Math.min(RELSEG_SIZE, blocks - segment * RELSEG_SIZE);
    const path = relationPath(major, {
      spc: relation.spc,
      db: relation.db,
      rel: relation.rel,
      fork: relation.fork,
      segment,
    });
    files.make(`${pgdata}/${path}`, undefined, inSegment * BLCKSZ);
    segment++;
  } while (segment * RELSEG_SIZE < blocks);
  return segment;
}

function keyOf({ spc, db, rel }: SnapshotRelation): string {
  return `${spc}/${db}/${rel}`;
}
