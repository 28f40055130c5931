import { formatOf, type PgMajor } from '@zenith/pg-format';
import {
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs';

/** Whom files are given to: PostgreSQL's OS user, when that is another than this process's. */
export type Owner = { readonly uid: number; readonly gid: number } | undefined;

/** Modes of what PostgreSQL's OS user owns; PostgreSQL refuses a data directory that others may enter. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** Larger files are not used again: giving their blocks back would take long, and the start waits for it. Unit: bytes. */
const USED_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Makes a directory whose parent exists. */
export function makeDirectory(path: string, owner: Owner): void {
  mkdirSync(path, { mode: DIRECTORY_MODE });
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

/**
 * Makes the files of a data directory. Nothing is synced: a compute's directory is disposable.
 *
 * It uses up the files of the directory before: a start makes a thousand files and would remove as many, and ext4 without a journal searches past every inode that was freed in the last
 * minute for each file it makes (a thousand files then take seconds). Renamed, emptied and filled again a file costs what it always costs.
 */
export class FileMaker {
  readonly #owner: Owner;
  readonly #used: string[];

  /**
   * @param owner whom the files are given to
   * @param used paths of regular files that nobody needs or has open any more; they are renamed away
   */
  constructor(owner: Owner, used: readonly string[] = []) {
    this.#owner = owner;
    this.#used = [...used];
  }

  /** Makes a file at `path`, where there is none yet, with these bytes at its start, sparse up to `size`. */
  make(path: string, bytes: Uint8Array | undefined, size: number = bytes?.length ?? 0): void {
    const file = this.#open(path);
    try {
      if (this.#owner !== undefined) fchownSync(file, this.#owner.uid, this.#owner.gid);
      if (size > 0) ftruncateSync(file, size);
      if (bytes !== undefined)
        for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at, at);
    } finally {
      closeSync(file);
    }
  }

  /** An empty file at `path`: a used one where one is left that suits, else a new one. */
  #open(path: string): number {
    for (let used = this.#used.pop(); used !== undefined; used = this.#used.pop()) {
      const { nlink, size } = lstatSync(used);
      if (nlink !== 1 || size > USED_FILE_BYTES_MAX) continue; // kept by somebody under another name, or slow to empty
      renameSync(used, path);
      const file = openSync(path, 'r+');
      ftruncateSync(file, 0);
      fchmodSync(file, FILE_MODE);
      return file;
    }
    return openSync(path, 'wx', FILE_MODE);
  }
}

/** Directories a data directory must have whether or not anything is in them; parents come first. PG: initdb.c, subdirs[]; 17 adds pg_wal/summaries. */
export function requiredDirectories(major: PgMajor): readonly string[] {
  return [
    'global',
    'base',
    'pg_wal',
    'pg_wal/archive_status',
    ...(formatOf(major).hasWalSummaries ? ['pg_wal/summaries'] : []),
    'pg_commit_ts',
    'pg_dynshmem',
    'pg_notify',
    'pg_serial',
    'pg_snapshots',
    'pg_subtrans',
    'pg_twophase',
    'pg_multixact',
    'pg_multixact/members',
    'pg_multixact/offsets',
    'pg_replslot',
    'pg_tblspc',
    'pg_stat',
    'pg_stat_tmp',
    'pg_xact',
    'pg_logical',
    'pg_logical/snapshots',
    'pg_logical/mappings',
  ];
}
