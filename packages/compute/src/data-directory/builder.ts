import { CorruptionError, formatLsn, type Lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import { databasePath, decodeControlFile, formatOf, type ControlFile, type PgMajor } from '@zenith/pg-format';
import {
  PAGES_PER_REQUEST_MAX,
  type PageRelation,
  type PageServerAddress,
  type SnapshotManifest,
  type SnapshotPart,
  type SnapshotRelation,
} from '@zenith/wire';
import { rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ComputeError } from '../errors.ts';
import type { PhaseTimer } from '../phase-timer.ts';
import { PresenceMapBuilder, writePresenceMap } from '../presence-map/builder.ts';
import { READAHEAD_BLOCKS_MAX } from '../presence-map/layout.ts';
import { pgHbaConf, postgresqlConf, type ServerSettings } from './configuration.ts';
import { FileMaker, makeDirectory, requiredDirectories, type Owner } from './layout.ts';
import { makeRelationFiles, makeUnloggedMainFork } from './relation-files.ts';
import { controlFileAt } from './starting-point.ts';
import { makeStartSegment } from './wal-start.ts';
import type { WalTail } from './wal-tail.ts';

/** What to build and from what. */
export interface DataDirectoryOptions {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly systemId: SystemId;
  readonly major: PgMajor;
  /** X. */
  readonly startLsn: Lsn;
  /** Size of a WAL segment. Unit: bytes. */
  readonly segmentSize: number;
  /** Absolute paths of what is made; nothing may be there yet. */
  readonly pgdata: string;
  readonly tablespaces: string;
  readonly presenceMap: string;
  readonly owner: Owner;
  /** Files that nobody needs any more and that are used up first. */
  readonly usedFiles?: readonly string[];
  readonly server: ServerSettings;
  /** The text of postgresql.auto.conf when ALTER SYSTEM's settings are to last; left out, there are none. */
  readonly systemSettings?: Uint8Array | undefined;
  /** The snapshot at X. */
  readonly snapshot: AsyncIterable<SnapshotPart>;
  /** The end of the WAL before X; undefined where none can be had (a timeline that begins at X and whose ancestor's WAL is gone). */
  readonly tail: Promise<WalTail | undefined>;
  /** Where missing blocks come from. */
  readonly pageServer: PageServerAddress;
  /** Reads pages of unlogged relations' init forks at X. */
  readonly readPages: (relation: PageRelation, block: number, count: number) => Promise<Uint8Array>;
  /** For the time in the checkpoint. Unit: milliseconds since 1970. */
  readonly nowMs: number;
  /** Gets how long the parts of it took. */
  readonly phases?: PhaseTimer;
}

/** What was built. */
export interface BuiltDataDirectory {
  readonly files: number;
  /** Size of the relations. Unit: blocks. */
  readonly blocks: number;
  /** End of the synthetic checkpoint record: where PostgreSQL's own WAL begins. */
  readonly checkpointEndLsn: Lsn;
}

/** Every init fork of an unlogged relation is small: a heap's is empty, an index's has a page or two. Unit: blocks. */
const INIT_FORK_BLOCKS_MAX = 16 * PAGES_PER_REQUEST_MAX;

const NO_SYSTEM_SETTINGS = '# Settings made by ALTER SYSTEM; they last until this compute is started again.\n';

/**
 * Where I/O workers read a scan together, which is how PostgreSQL 18 does it unless it is told otherwise, several such requests are under way at once: one is rebuilt while others are put into files. Larger ones would keep
 * all workers waiting for one. Unit: blocks.
 */
const READAHEAD_BLOCKS_OF_WORKERS = 32;

/** Init forks whose pages are asked for at the same time; below what one connection to the page service takes. */
const INIT_FORKS_AT_ONCE = 32;

/**
 * Builds the data directory of a cluster that seems to have been shut down cleanly at X: relation files of holes, everything else for real, a shutdown checkpoint at X that was never
 * written by a server. What it leaves behind when it fails is for the caller to remove.
 * @throws ComputeError `snapshot-mismatch`, CorruptionError, and what the snapshot, the tail and the pages throw
 */
export async function buildDataDirectory(options: DataDirectoryOptions): Promise<BuiltDataDirectory> {
  const { pgdata, owner, major } = options;
  const files = new FileMaker(owner, options.usedFiles);
  let manifest: SnapshotManifest | undefined;
  let control: ControlFile | undefined;
  let fileCount = 0;
  let blocks = 0;
  let unlogged: readonly SnapshotRelation[] = [];
  for await (const part of options.snapshot) {
    if (part.kind === 'manifest') {
      ({ manifest } = part);
      options.phases?.end('snapshotMs');
      checkManifest(manifest, options);
      makeSkeleton(manifest, options);
      const map = new PresenceMapBuilder({
        tenant: options.tenant,
        timeline: options.timeline,
        lsn: options.startLsn,
        address: options.pageServer,
        pgdata,
        readaheadBlocks:
          major >= 18 && (options.server.settings['io_method'] ?? 'worker') === 'worker'
            ? READAHEAD_BLOCKS_OF_WORKERS
            : READAHEAD_BLOCKS_MAX,
      });
      const made = makeRelationFiles(manifest.relations, {
        pgdata,
        major,
        files,
        onMissing: (relation, count) => map.addRelation(relation, count),
      });
      fileCount = made.files;
      ({ blocks, unlogged } = made);
      rmSync(options.presenceMap, { force: true }); // never overwritten: an older PostgreSQL may still have the old one mapped
      writePresenceMap(options.presenceMap, map.build(), owner);
      options.phases?.end('relationFilesMs');
      continue;
    }
    fileCount++;
    if (part.file.path === 'global/pg_control') control = decodeControlFile(part.bytes);
    else files.make(join(pgdata, part.file.path), part.bytes);
  }
  if (manifest === undefined || control === undefined)
    throw new CorruptionError('the snapshot has no control file', { source: 'snapshot' });
  checkControlFile(control, options);
  await makeUnloggedRelations(unlogged, files, options);
  options.phases?.end('filesMs');
  const tail = await options.tail;
  const { checkPoint, endLsn } = makeStartSegment({
    ...options,
    files,
    previousRecordLsn: tail?.previousRecordLsn ?? recordBefore(control, options.startLsn),
    pagePrefix: tail?.pagePrefix,
    counters: manifest.checkpoint,
  });
  files.make(join(pgdata, 'global/pg_control'), controlFileAt(control, checkPoint, options.nowMs));
  makeConfiguration(files, options, control);
  options.phases?.end('walTailMs');
  return { files: fileCount, blocks, checkpointEndLsn: endLsn };
}

function checkManifest(manifest: SnapshotManifest, options: DataDirectoryOptions): void {
  const wrong = (what: string, is: string | number, expected: string | number): ComputeError =>
    new ComputeError(
      'snapshot-mismatch',
      `the pageserver's snapshot of timeline ${options.timeline} has ${what} ${is}, this compute needs ${expected}`,
    );
  if (manifest.pgMajor !== options.major) throw wrong('PostgreSQL version', manifest.pgMajor, options.major);
  if (manifest.systemId !== options.systemId) throw wrong('system identifier', manifest.systemId, options.systemId);
  if (manifest.lsn !== options.startLsn) throw wrong('LSN', formatLsn(manifest.lsn), formatLsn(options.startLsn));
}

function checkControlFile(control: ControlFile, options: DataDirectoryOptions): void {
  if (control.major !== options.major || control.walSegmentSize !== options.segmentSize) {
    throw new ComputeError(
      'snapshot-mismatch',
      `the cluster has WAL segments of ${control.walSegmentSize} bytes and PostgreSQL version ${control.major}, this compute needs ${options.segmentSize} and ${options.major}`,
    );
  }
}

/** Directories first, since neither relations nor files bring theirs along. */
function makeSkeleton(manifest: SnapshotManifest, { pgdata, tablespaces, owner, major }: DataDirectoryOptions): void {
  makeDirectory(pgdata, owner);
  for (const directory of requiredDirectories(major)) makeDirectory(join(pgdata, directory), owner);
  // A tablespace lies below the compute's own folder wherever its location was: two branches must not share one.
  makeDirectory(tablespaces, owner);
  for (const { oid } of manifest.tablespaces) {
    const location = join(tablespaces, String(oid));
    makeDirectory(location, owner);
    makeDirectory(join(location, formatOf(major).tablespaceDirectory), owner);
    symlinkSync(location, join(pgdata, 'pg_tblspc', String(oid)));
  }
  const made = new Set<string>();
  const makeOnce = (path: string): void => {
    if (made.has(path)) return;
    made.add(path);
    makeDirectory(join(pgdata, path), owner);
  };
  for (const { spc, db } of manifest.databases) makeOnce(databasePath(major, spc, db));
  for (const { spc, db } of manifest.relations) if (db !== 0) makeOnce(databasePath(major, spc, db));
  for (const { path } of manifest.files) {
    const folder = dirname(path);
    if (/^(?:base\/\d+|pg_tblspc\/\d+\/[^/]+\/\d+)$/.test(folder)) makeOnce(folder);
  }
}

async function makeUnloggedRelations(
  unlogged: readonly SnapshotRelation[],
  files: FileMaker,
  options: DataDirectoryOptions,
): Promise<void> {
  for (let first = 0; first < unlogged.length; first += INIT_FORKS_AT_ONCE) {
    const batch = unlogged.slice(first, first + INIT_FORKS_AT_ONCE);
    await Promise.all(
      batch.map(async (init) => makeUnloggedMainFork(init, await readFork(init, options), { ...options, files })),
    );
  }
}

async function readFork(
  relation: SnapshotRelation,
  { readPages, timeline }: DataDirectoryOptions,
): Promise<Uint8Array> {
  const { blocks } = relation;
  if (blocks > INIT_FORK_BLOCKS_MAX)
    throw new CorruptionError(
      `the init fork of relation ${relation.spc}/${relation.db}/${relation.rel} has ${blocks} blocks`,
      { source: `timeline ${timeline}` },
    );
  const parts: Uint8Array[] = [];
  for (let block = 0; block < blocks; block += PAGES_PER_REQUEST_MAX)
    parts.push(await readPages(relation, block, Math.min(PAGES_PER_REQUEST_MAX, blocks - block)));
  return Buffer.concat(parts);
}

/** Some LSN below X for xl_prev where the record before X is not known: PostgreSQL wants no more of it, and nobody decodes across the beginning of a timeline. */
function recordBefore(control: ControlFile, startLsn: Lsn): Lsn {
  return control.checkPoint < startLsn ? control.checkPoint : ((startLsn - 8) as Lsn);
}

function makeConfiguration(
  files: FileMaker,
  { pgdata, server, systemSettings }: DataDirectoryOptions,
  { maxPreparedXacts }: ControlFile,
): void {
  const write = (name: string, text: string | Uint8Array): void =>
    files.make(join(pgdata, name), typeof text === 'string' ? Buffer.from(text, 'utf8') : text);
  write('postgresql.conf', postgresqlConf(server, maxPreparedXacts));
  write('postgresql.auto.conf', systemSettings ?? NO_SYSTEM_SETTINGS);
  write('pg_hba.conf', pgHbaConf());
  write('pg_ident.conf', '');
}
