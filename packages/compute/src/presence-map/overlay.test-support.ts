import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lsn, newTenantId, newTimelineId } from '@zenith/base';
import { chownTree, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import type { PageRelation, PageServerAddress } from '@zenith/wire';
import { PresenceMapBuilder, writePresenceMap } from './builder.ts';

const BLCKSZ = 8192;
/** Folder of the library's sources. */
export const preloadFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'preload');

/** Builds the preload library if it is not up to date; its path. */
export function preloadLibrary(): string {
  execFileSync('make', ['-s', '-C', preloadFolder], { stdio: ['ignore', 'inherit', 'inherit'] });
  return join(preloadFolder, 'build', 'libzenith_preload.so');
}

/** Output of the C program that prints the layout, as name → number. */
export function layoutInC(): Map<string, number> {
  execFileSync('make', ['-s', '-C', preloadFolder, 'build/layout'], { stdio: ['ignore', 'inherit', 'inherit'] });
  const text = execFileSync(join(preloadFolder, 'build', 'layout'), { encoding: 'utf8' });
  return new Map(
    text
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]),
  );
}

/** A data directory whose relation files are sparse, beside its presence map. */
export interface Overlay {
  readonly dataDirectory: string;
  readonly mapPath: string;
  /** For the server: LD_PRELOAD and the map. */
  readonly env: Readonly<Record<string, string>>;
  remove(): void;
}

/**
 * Copies a cleanly shut down data directory, but relation files only in their sizes. FSM files are left out, as a compute has none at its start.
 * @param address where a page service over the original listens
 * @param settings more lines for postgresql.conf
 */
export function makeOverlay(
  original: string,
  address: PageServerAddress,
  options: { requestDeadlineMs?: number; readaheadBlocks?: number } = {},
  settings: Readonly<Record<string, string>> = {},
): Overlay {
  const directory = temporaryDirectory('zenith-overlay-');
  const dataDirectory = join(directory.path, 'data');
  const mapPath = join(directory.path, 'presence.map');
  const builder = new PresenceMapBuilder({
    tenant: newTenantId(),
    timeline: newTimelineId(),
    lsn: lsn(0x1000028),
    address,
    pgdata: dataDirectory,
    ...options,
  });
  copyFolder(original, dataDirectory, '', builder);
  writePresenceMap(mapPath, builder.build());
  chmodSync(dataDirectory, 0o700);
  for (const [name, value] of Object.entries(settings))
    appendFileSync(join(dataDirectory, 'postgresql.conf'), `${name} = '${value}'\n`);
  chownTree(directory.path, unprivilegedUser());
  return {
    dataDirectory,
    mapPath,
    env: { LD_PRELOAD: preloadLibrary(), ZENITH_PRESENCE_MAP: mapPath },
    remove: () => directory.remove(),
  };
}

function copyFolder(from: string, to: string, below: string, builder: PresenceMapBuilder): void {
  mkdirSync(join(to, below), { recursive: true, mode: 0o700 });
  for (const entry of readdirSync(join(from, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (entry.isDirectory()) {
      copyFolder(from, to, path, builder);
      continue;
    }
    if (/\/\d+_fsm$/.test(path)) continue;
    const relation = relationOf(path);
    if (relation === undefined) {
      if (entry.name !== 'postmaster.pid') copyFileSync(join(from, path), join(to, path));
      continue;
    }
    const size = statSync(join(from, path)).size;
    const file = openSync(join(to, path), 'wx', 0o600);
    ftruncateSync(file, size);
    closeSync(file);
    if (!/\.\d+$/.test(entry.name)) builder.addRelation(relation, wholeSize(join(from, path)) / BLCKSZ);
  }
}

/** Size of a fork over all of its segment files. */
function wholeSize(path: string): number {
  let size = 0;
  for (let segment = 0; ; segment++) {
    const status = statSync(segment === 0 ? path : `${path}.${segment}`, { throwIfNoEntry: false });
    if (status === undefined) return size;
    size += status.size;
  }
}

function relationOf(path: string): PageRelation | undefined {
  const match = /^(?:base\/(\d+)|(global)|pg_tblspc\/(\d+)\/PG_[^/]+\/(\d+))\/(\d+)(_vm|_init)?(?:\.\d+)?$/.exec(path);
  if (match === null) return undefined;
  const fork = match[6] === '_vm' ? 2 : match[6] === '_init' ? 3 : 0;
  const rel = Number(match[5]);
  if (match[2] !== undefined) return { spc: 1664, db: 0, rel, fork };
  if (match[1] !== undefined) return { spc: 1663, db: Number(match[1]), rel, fork };
  return { spc: Number(match[3]), db: Number(match[4]), rel, fork };
}
