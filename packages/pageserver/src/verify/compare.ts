import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { CorruptionError, INVALID_LSN, ZenithError, formatLsn, type Lsn } from '@zenith/base';
import {
  BLCKSZ,
  RELMAPPER_FILENAME,
  RM_SPGIST_ID,
  RM_SEQ_ID,
  SIZE_OF_PAGE_HEADER,
  VISIBILITYMAP_FORKNUM,
  allocatePage,
  databasePath,
  decodeCheckPoint,
  decodeControlFile,
  pageIsNew,
  pageLsn,
  relationPath,
  slruFileName,
  twoPhaseFileName,
  type CheckPoint,
  type ControlFile,
  type Page,
} from '@zenith/pg-format';
import { firstDifference, maskPage, pageResourceManager, type Inconsistency } from '@zenith/redo';
import {
  listDatabases,
  listForks,
  listSlruFiles,
  listTablespaces,
  listTwoPhaseFiles,
  type ForkFiles,
} from '../import/cluster-files.ts';
import { decodeSize } from '../ingest/object-sizes.ts';
import { SLRU_GEOMETRY } from '../ingest/slru-geometry.ts';
import { decodeTablespace } from '../ingest/tablespace-location.ts';
import type { ObjectId } from '../key-space/object-table.ts';
import { ObjectKind, type SlruKind } from '../key-space/object.ts';
import { postgresRedo } from '../timeline/redo.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { compareCountersAfter, compareCountersBefore, compareParameters } from './compare-counters.ts';
import { compareMapPage, mapPageAtMost } from './map-page.ts';
import { maskSequenceState, sequenceStatesAgree } from './sequence-page.ts';
import { SlruMask } from './slru-mask.ts';

// SpGistMetaPageData: magic number u32 @24, last used pages 8 × (block u32, free space i32) @28: a cache that is not logged.  PG 18: spgist_private.h; spgutils.c, SpGistUpdateMetaPage()
const SPGIST_LAST_USED_PAGES = 28;
const SPGIST_LAST_USED_PAGES_END = SPGIST_LAST_USED_PAGES + 8 * 8;

/** Most differences that are kept; more are only counted. */
const DIFFERENCES_MAX = 100;

/** So much of a map page's history is read at most. Unit: values; bytes. */
const MAP_PAGE_HISTORY = { valuesMax: 10_000_000, bytesMax: 1024 ** 3 };

const CONTROL_FILE = 'global/pg_control';

/** One thing that a timeline and a data directory do not agree on. */
export interface Difference {
  /** The file, relative to the data directory, and the block in it. */
  readonly where: string;
  /** What differs. */
  readonly what: string;
}

/** What a comparison found. */
export interface Comparison {
  /** The first differences, at most 100. */
  readonly differences: readonly Difference[];
  /** How many there are. */
  readonly differenceCount: number;
  /** Pages whose records redo does not know; each is a difference, too. */
  readonly unsupportedPages: number;
  /** Pages that the server's files do not have, so that there was nothing to compare. */
  readonly missingPages: number;
  /** Pages of visibility maps in which the timeline lacks bits that the server has set and its WAL does not: the only legal ones, see {@link mapPageAtMost}. */
  readonly mapPagesBehind: number;
  /** Relation forks that were compared. */
  readonly forks: number;
  /** Pages of relations that were compared. */
  readonly relationPages: number;
  /** Pages of SLRUs that were compared. */
  readonly slruPages: number;
  /** Other files that were compared. */
  readonly files: number;
}

/** Says which blocks a compute never fetched: its file has a hole there, and nothing to compare. */
export type MissingBlocks = (
  relation: { readonly spc: number; readonly db: number; readonly rel: number; readonly fork: number },
  block: number,
) => boolean;

/** A control file as it was after a checkpoint while the server still ran. */
export interface EarlierCheckpoint {
  readonly controlFile: ControlFile;
  /** Behind the end of the checkpoint, before any transaction after it. */
  readonly lsn: Lsn;
}

/** How to compare. */
export interface ComparisonOptions {
  /** Which blocks the files do not have; none when left out. */
  readonly isMissing?: MissingBlocks;
  /** Checkpoints before the last one whose counters are compared, too. From its begin to its `lsn` the server must have been idle. */
  readonly earlier?: readonly EarlierCheckpoint[];
}

/**
 * Compares everything that a timeline has at `lsn` with the files of a data directory whose server wrote the same WAL and has been shut down, or has checkpointed and been idle since.
 * What may legally differ is masked: in pages what PostgreSQL's own consistency check masks; pages of zeroes at the end of a fork, which a server adds without logging them; how far a sequence is within what it has logged ahead; bits of a visibility
 * map where the server's WAL does not have them (counted); the multixact offset that is next. The counters are compared twice: where the checkpoint begins, before its record has given them to the timeline, and behind it. Free-space maps and unlogged relations
 * are not kept and not compared.
 */
export function compareWithDataDirectory(
  timeline: Timeline,
  lsn: Lsn,
  path: string,
  options: ComparisonOptions = {},
): Comparison {
  return new Comparer(timeline, lsn, path, options).run();
}

class Comparer {
  readonly #timeline: Timeline;
  readonly #lsn: Lsn;
  readonly #path: string;
  readonly #differences: Difference[] = [];
  #differenceCount = 0;
  #unsupportedPages = 0;
  #missingPages = 0;
  #mapPagesBehind = 0;
  #forks = 0;
  #relationPages = 0;
  #slruPages = 0;
  #files = 0;
  readonly #expected = allocatePage();
  readonly #actual = allocatePage();

  readonly #redo = postgresRedo();
  readonly #options: ComparisonOptions;
  readonly #controlFile: ControlFile;

  constructor(timeline: Timeline, lsn: Lsn, path: string, options: ComparisonOptions) {
    this.#timeline = timeline;
    this.#lsn = lsn;
    this.#path = path;
    this.#options = options;
    this.#controlFile = decodeControlFile(readFileSync(join(path, CONTROL_FILE)));
  }

  run(): Comparison {
    this.#compareControlFile();
    this.#compareRelations();
    this.#compareSlrus();
    this.#compareSmallFiles();
    return {
      differences: this.#differences,
      differenceCount: this.#differenceCount,
      unsupportedPages: this.#unsupportedPages,
      missingPages: this.#missingPages,
      mapPagesBehind: this.#mapPagesBehind,
      forks: this.#forks,
      relationPages: this.#relationPages,
      slruPages: this.#slruPages,
      files: this.#files,
    };
  }

  #report(where: string, what: string): void {
    this.#differenceCount++;
    if (this.#differences.length < DIFFERENCES_MAX) this.#differences.push({ where, what });
  }

  #compareControlFile(): void {
    const { earlier = [] } = this.#options;
    for (const { controlFile, lsn } of [...earlier, { controlFile: this.#controlFile, lsn: this.#lsn }]) {
      const { redo } = controlFile.checkPointCopy;
      // A server that has not run since it was imported has a checkpoint with nothing before it.
      if (redo >= this.#timeline.initialLsn)
        this.#reportCounters(redo, compareCountersBefore(this.#checkPoint(redo), controlFile));
      this.#reportCounters(lsn, compareCountersAfter(this.#checkPoint(lsn), controlFile));
    }
    const parameters = decodeControlFile(this.#readSmall(ObjectKind.controlFile, this.#lsn));
    for (const what of compareParameters(parameters, this.#controlFile)) this.#report(CONTROL_FILE, what);
  }

  #reportCounters(lsn: Lsn, lines: readonly string[]): void {
    for (const what of lines) this.#report(`${CONTROL_FILE} at ${formatLsn(lsn)}`, what);
  }

  #checkPoint(lsn: Lsn): CheckPoint {
    const bytes = this.#readSmall(ObjectKind.checkpoint, lsn);
    return decodeCheckPoint(this.#timeline.pgMajor, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
  }

  #readSmall(kind: ObjectKind, lsn: Lsn): Uint8Array {
    return this.#timeline.readSmall(this.#timeline.find(kind, 0, 0, 0, 0), lsn) ?? new Uint8Array(0);
  }

  #compareRelations(): void {
    const timeline = this.#timeline;
    const unseen = new Map<string, number>();
    timeline.scan(ObjectKind.relationSize, this.#lsn, ({ spc, db, rel, fork }, value) => {
      unseen.set(relationPath(timeline.pgMajor, { spc, db, rel, fork, segment: 0 }), decodeSize(value));
    });
    for (const database of listDatabases(this.#path, timeline.pgMajor)) {
      for (const fork of listForks(this.#path, timeline.pgMajor, database)) {
        const file = fork.segments[0] as string;
        const size = unseen.get(file);
        unseen.delete(file);
        this.#forks++;
        // Files that only the data directory has: empty ones wait for the next checkpoint to be unlinked, and a map of zeroes says nothing.
        if (size !== undefined || fork.blocks > 0) this.#compareFork(fork, size ?? 0);
      }
    }
    for (const [file, size] of unseen) {
      if (size > 0) this.#report(file, `the timeline has ${size} blocks, the file does not exist`);
    }
  }

  #compareFork(fork: ForkFiles, size: number): void {
    const { spc, db, rel } = fork;
    const object = this.#timeline.find(ObjectKind.relation, spc, db, rel, fork.fork);
    const file = fork.segments[0] as string;
    if (size > fork.blocks) this.#report(file, `the timeline has ${size} blocks, the file has ${fork.blocks}`);
    this.#eachPage(fork.segments, (block) => {
      if (this.#options.isMissing?.(fork, block) === true) {
        this.#missingPages++;
        return;
      }
      this.#relationPages++;
      if (block >= size) {
        if (!isEmpty(this.#expected, fork.fork))
          this.#report(`${file} block ${block}`, `the timeline has only ${size} blocks, and this page is not empty`);
        return;
      }
      this.#comparePage(`${file} block ${block}`, object, block, () =>
        fork.fork === VISIBILITYMAP_FORKNUM ? this.#compareMapPage(object, block) : this.#compareRelationPage(block),
      );
    });
  }

  /** Reads a page of the timeline into `#actual` and compares it. A page that cannot be read or masked is a difference. */
  #comparePage(where: string, object: ObjectId, block: number, compare: () => Inconsistency | undefined): void {
    try {
      this.#timeline.readPage(object, block, this.#lsn, this.#actual);
      const difference = compare();
      if (difference !== undefined) this.#report(where, describe(difference));
    } catch (error) {
      if (!(error instanceof ZenithError || error instanceof CorruptionError || error instanceof RangeError))
        throw error;
      if (error instanceof ZenithError && error.code === 'unsupported-record') this.#unsupportedPages++;
      this.#report(where, error.message);
    }
  }

  #compareRelationPage(block: number): Inconsistency | undefined {
    const expected = this.#expected;
    const actual = this.#actual;
    const rmid = pageResourceManager(expected);
    if (rmid === RM_SPGIST_ID && block === 0) {
      for (const page of [expected, actual]) page.bytes.fill(0, SPGIST_LAST_USED_PAGES, SPGIST_LAST_USED_PAGES_END);
    }
    if (rmid === RM_SEQ_ID && sequenceStatesAgree(expected, actual)) {
      maskSequenceState(expected);
      maskSequenceState(actual);
    }
    for (const page of [expected, actual]) maskPage(this.#timeline.pgMajor, rmid, page, block);
    return firstDifference(expected, actual);
  }

  #compareMapPage(object: ObjectId, block: number): Inconsistency | undefined {
    const { difference, isBehind } = compareMapPage(this.#expected, this.#actual, () =>
      mapPageAtMost(
        this.#timeline.pgMajor,
        this.#redo,
        this.#timeline.pageHistory(object, block, this.#lsn, MAP_PAGE_HISTORY).values,
      ),
    );
    if (isBehind) this.#mapPagesBehind++;
    return difference;
  }

  #compareSlrus(): void {
    const unseen = new Map<string, number>();
    this.#timeline.scan(ObjectKind.slruSize, this.#lsn, ({ spc, rel }, value) => {
      unseen.set(`${SLRU_GEOMETRY[spc as SlruKind].directory}/${slruFileName(rel)}`, decodeSize(value));
    });
    const mask = new SlruMask(this.#controlFile.checkPointCopy);
    for (const { slru, segment, pages, path } of listSlruFiles(this.#path)) {
      const size = unseen.get(path);
      unseen.delete(path);
      if (size !== pages)
        this.#report(
          path,
          `the timeline has ${size === undefined ? 'no such segment' : `${size} pages`}, the file has ${pages}`,
        );
      const object = this.#timeline.find(ObjectKind.slru, slru, 0, segment, 0);
      this.#eachPage([path], (block) => {
        if (size === undefined || block >= size) return;
        this.#slruPages++;
        this.#comparePage(`${path} page ${block}`, object, block, () => {
          mask.apply(slru, segment, block, this.#expected);
          mask.apply(slru, segment, block, this.#actual);
          return firstDifference(this.#expected, this.#actual);
        });
      });
    }
    for (const path of unseen.keys()) this.#report(path, 'the timeline has this segment, the file does not exist');
  }

  #compareSmallFiles(): void {
    const { pgMajor } = this.#timeline;
    const databases = listDatabases(this.#path, pgMajor);
    const withMap = databases.filter(
      ({ spc, db }) =>
        this.#timeline.readSmall(this.#timeline.find(ObjectKind.relationMap, spc, db, 0, 0), this.#lsn)?.length,
    );
    this.#compareFiles(
      ObjectKind.relationMap,
      withMap.map(({ path }) => `${path}/${RELMAPPER_FILENAME}`),
      ({ spc, db }) => `${databasePath(pgMajor, spc, db)}/${RELMAPPER_FILENAME}`,
    );
    // A database's directory in a tablespace that is not its own has no such file.
    const versions = databases
      .map(({ path }) => `${path}/PG_VERSION`)
      .filter((file) => !file.startsWith('global/') && existsSync(join(this.#path, file)));
    this.#compareFiles(ObjectKind.database, versions, ({ spc, db }) => `${databasePath(pgMajor, spc, db)}/PG_VERSION`);
    const twoPhase = listTwoPhaseFiles(this.#path, pgMajor).map(({ path }) => path);
    this.#compareFiles(
      ObjectKind.twoPhase,
      twoPhase,
      ({ spc, db }) => `pg_twophase/${twoPhaseFileName(pgMajor, (BigInt(spc) << 32n) | BigInt(db))}`,
    );
    const tablespaces = new Map(listTablespaces(this.#path).map(({ oid, location }) => [oid, location]));
    this.#timeline.scan(ObjectKind.tablespace, this.#lsn, ({ spc }, value) => {
      if (tablespaces.get(spc) !== decodeTablespace(value))
        this.#report(
          `pg_tblspc/${spc}`,
          `the timeline says ${decodeTablespace(value)}, the directory ${tablespaces.get(spc) ?? 'has none'}`,
        );
      tablespaces.delete(spc);
    });
    for (const oid of tablespaces.keys())
      this.#report(`pg_tblspc/${oid}`, 'the timeline does not have this tablespace');
  }

  /** Compares all small objects of a kind with the files `paths`, byte for byte and in both directions. */
  #compareFiles(
    kind: ObjectKind,
    paths: readonly string[],
    pathOf: (key: { readonly spc: number; readonly db: number }) => string,
  ): void {
    const unseen = new Set(paths);
    this.#timeline.scan(kind, this.#lsn, (key, value) => {
      const path = pathOf(key);
      this.#files++;
      if (!unseen.delete(path)) this.#report(path, 'the timeline has it, the file does not exist');
      else if (!readFileSync(join(this.#path, path)).equals(value)) this.#report(path, 'the content differs');
    });
    for (const path of unseen) this.#report(path, 'the file exists, the timeline does not have it');
  }

  /** Reads the pages of the segment files of one fork, one after the other, into `#expected`. */
  #eachPage(segments: readonly string[], visit: (block: number) => void): void {
    let block = 0;
    for (const segment of segments) {
      const fd = openSync(join(this.#path, segment), 'r');
      try {
        while (readSync(fd, this.#expected.bytes) === BLCKSZ) visit(block++);
      } finally {
        closeSync(fd);
      }
    }
  }
}

/** True for a page that says nothing: never initialised, or a page of a visibility map without bits that no record ever changed. */
function isEmpty(page: Page, fork: number): boolean {
  if (page.bytes.every((byte) => byte === 0)) return true;
  if (fork !== VISIBILITYMAP_FORKNUM || pageIsNew(page) || pageLsn(page) !== INVALID_LSN) return false;
  return page.bytes.subarray(SIZE_OF_PAGE_HEADER).every((byte) => byte === 0);
}

function describe({ offset, expected, actual }: Inconsistency): string {
  return `byte ${offset}: PostgreSQL has 0x${expected.toString(16)}, the timeline 0x${actual.toString(16)}`;
}
