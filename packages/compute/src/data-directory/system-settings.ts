import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';

/** Far above what ALTER SYSTEM makes by hand. Unit: bytes. */
const LENGTH_MAX = 1024 * 1024;

/**
 * What ALTER SYSTEM has set in a data directory that is given up: the text of its postgresql.auto.conf, which PostgreSQL only ever replaces as a whole. No PostgreSQL may run there.
 * @returns undefined when there is none, or none that is to be trusted: the directory belongs to another OS user than who reads here, so that links and special files are refused
 */
export function readSystemSettings(pgdata: string): Uint8Array | undefined {
  let file: number;
  try {
    file = openSync(
      join(pgdata, 'postgresql.auto.conf'),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO', 'EACCES'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(file);
    return stat.isFile() && stat.nlink === 1 && stat.size <= LENGTH_MAX ? readFileSync(file) : undefined;
  } finally {
    closeSync(file);
  }
}
