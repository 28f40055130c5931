import { assert } from '@zenith/base';
import { RELSEG_SIZE } from '../page/page.ts';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';

// Where the forks of a relation lie below the data directory, in files of 1 GiB:
//   global/<rel>                                    shared relations, tablespace 1664, database 0
//   base/<db>/<rel>                                 tablespace 1663
//   pg_tblspc/<spc>/PG_<version>/<db>/<rel>         any other tablespace
// each with _fsm, _vm or _init for other forks than the main one, and .1, .2, … for segments after the first.
// PG 15-18: relpath.c, md.c

/** Fork number of a relation's data. PG: relpath.h. */
export const MAIN_FORKNUM = 0;
/** Fork number of the free-space map. PG: relpath.h. */
export const FSM_FORKNUM = 1;
/** Fork number of the visibility map. PG: relpath.h. */
export const VISIBILITYMAP_FORKNUM = 2;
/** Fork number of what an unlogged relation is reset to. PG: relpath.h. */
export const INIT_FORKNUM = 3;

/** Oid of the tablespace pg_default, the directory base. PG: pg_tablespace.dat. */
export const DEFAULTTABLESPACE_OID = 1663;
/** Oid of the tablespace pg_global, the directory global. PG: pg_tablespace.dat. */
export const GLOBALTABLESPACE_OID = 1664;

const FORK_SUFFIX = ['', '_fsm', '_vm', '_init'] as const;
const OID_MAX = 0xffffffff;
/** A fork has at most 2^32 - 1 blocks. */
const SEGMENT_MAX = Math.floor(0xfffffffe / RELSEG_SIZE);

/** One segment file of one fork of a relation. */
export interface RelationFile {
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  /** Counted from 0; block b is in segment b / 131072. */
  readonly segment: number;
}

/** Directory of a database in a tablespace, relative to the data directory. PG: GetDatabasePath(). */
export function databasePath(major: PgMajor, spc: number, db: number): string {
  if (spc === GLOBALTABLESPACE_OID) return 'global';
  if (spc === DEFAULTTABLESPACE_OID) return `base/${db}`;
  return `pg_tblspc/${spc}/${formatOf(major).tablespaceDirectory}/${db}`;
}

/** Path of a relation's segment file, relative to the data directory. PG: GetRelationPath(), _mdfd_segpath(). */
export function relationPath(major: PgMajor, file: RelationFile): string {
  const suffix = FORK_SUFFIX[file.fork];
  assert(suffix !== undefined, 'relationPath: a fork number from 0 to 3');
  return `${databasePath(major, file.spc, file.db)}/${file.rel}${suffix}${file.segment === 0 ? '' : `.${file.segment}`}`;
}

/** Reads a number as PostgreSQL writes one: no leading zero. */
function parseNumber(text: string | undefined, max: number): number | undefined {
  if (text === undefined || !/^(?:0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** The parts of a file name such as `16384_vm.1`; undefined for any other, temporary relations included. */
export function parseRelationFileName(
  name: string,
): { readonly rel: number; readonly fork: number; readonly segment: number } | undefined {
  const match = /^([0-9]+)(_fsm|_vm|_init)?(?:\.([0-9]+))?$/.exec(name);
  if (match === null) return undefined;
  const rel = parseNumber(match[1], OID_MAX);
  const segment = match[3] === undefined ? 0 : parseNumber(match[3], SEGMENT_MAX);
  if (rel === undefined || rel === 0 || segment === undefined || (match[3] !== undefined && segment === 0))
    return undefined;
  return { rel, fork: FORK_SUFFIX.indexOf((match[2] ?? '') as (typeof FORK_SUFFIX)[number]), segment };
}

/** What relation file a path (relative to the data directory, with `/`) names; undefined when it is none. The inverse of {@link relationPath}. */
export function parseRelationPath(major: PgMajor, path: string): RelationFile | undefined {
  const parts = path.split('/');
  const name = parseRelationFileName(parts.at(-1) ?? '');
  if (name === undefined) return undefined;
  if (parts.length === 2 && parts[0] === 'global') return { spc: GLOBALTABLESPACE_OID, db: 0, ...name };
  if (parts.length === 3 && parts[0] === 'base') {
    const db = parseNumber(parts[1], OID_MAX);
    return db === undefined ? undefined : { spc: DEFAULTTABLESPACE_OID, db, ...name };
  }
  if (parts.length === 5 && parts[0] === 'pg_tblspc' && parts[2] === formatOf(major).tablespaceDirectory) {
    const spc = parseNumber(parts[1], OID_MAX);
    const db = parseNumber(parts[3], OID_MAX);
    return spc === undefined || db === undefined ? undefined : { spc, db, ...name };
  }
  return undefined;
}
