import { ControlPlaneError } from '@zenith/control-plane';
import {
  FSM_FORKNUM,
  INIT_FORKNUM,
  MAIN_FORKNUM,
  VISIBILITYMAP_FORKNUM,
  parseRelationPath,
  type PgMajor,
} from '@zenith/pg-format';

/** Where the files of a relation are. PG: RelFileLocator. */
export interface RelationLocator {
  readonly spc: number;
  readonly db: number;
  /** Relfilenode. */
  readonly rel: number;
}

/** A relation as a user writes it: where it is, or a name that the server on the branch must look up. */
export type RelationArgument =
  | { readonly locator: RelationLocator; readonly fork: number | undefined; readonly segment: number }
  | { readonly database: string | undefined; readonly name: string };

const FORKS: Readonly<Record<string, number>> = {
  main: MAIN_FORKNUM,
  fsm: FSM_FORKNUM,
  vm: VISIBILITYMAP_FORKNUM,
  init: INIT_FORKNUM,
};

/** Forks that there can be pages of. */
const FORK_NAMES = ['main', 'vm', 'init'] as const;

const OID_MAX = 0xffff_ffff;

/** One part of a dotted name: in quotes, within which two stand for one, or without. */
const NAME_PART = /"(?:[^"]|"")+"|[^".]+/y;

function invalid(text: string): ControlPlaneError {
  return new ControlPlaneError(
    'invalid-option',
    `'${text}' names no relation: write NAME, SCHEMA.NAME, DATABASE.SCHEMA.NAME, TABLESPACE/DATABASE/RELFILENODE (oids, as 1663/5/16384) or a path as pg_relation_filepath() gives it`,
  );
}

/**
 * Reads a relation. With a `/` it is a place: three oids, or the path of a file of the data directory, which may name a fork and a segment. Without it is a name, in PostgreSQL's own syntax.
 * @throws ControlPlaneError `invalid-option`
 */
export function parseRelation(text: string, major: PgMajor): RelationArgument {
  if (!text.includes('/')) return parseName(text);
  const path = parseRelationPath(major, text);
  if (path !== undefined)
    return { locator: { spc: path.spc, db: path.db, rel: path.rel }, fork: path.fork, segment: path.segment };
  const oids = /^(\d{1,10})\/(\d{1,10})\/(\d{1,10})$/.exec(text)?.slice(1).map(Number);
  if (oids === undefined || oids.some((oid) => oid > OID_MAX)) throw invalid(text);
  const [spc, db, rel] = oids as [number, number, number];
  return { locator: { spc, db, rel }, fork: undefined, segment: 0 };
}

function parseName(text: string): RelationArgument {
  const parts: string[] = [];
  for (let at = 0; ; at++) {
    NAME_PART.lastIndex = at;
    const part = NAME_PART.exec(text)?.[0];
    if (part === undefined) throw invalid(text);
    parts.push(part);
    at += part.length;
    if (at === text.length) break;
    if (text[at] !== '.') throw invalid(text);
  }
  const [first, ...rest] = parts as [string, ...string[]];
  if (parts.length > 3) throw invalid(text);
  return parts.length === 3
    ? { database: unquoted(first), name: rest.join('.') }
    : { database: undefined, name: parts.join('.') };
}

/** An identifier as PostgreSQL takes it: folded to lower case unless it is in quotes. */
function unquoted(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase();
}

/** The number of a fork. @throws ControlPlaneError `invalid-option` for one that does not exist, or is not kept */
export function parseFork(name: string): number {
  const fork = FORKS[name];
  if (fork === FSM_FORKNUM)
    throw new ControlPlaneError(
      'invalid-option',
      'free-space maps are not in the WAL and so not kept: there is no page to show',
    );
  if (fork === undefined)
    throw new ControlPlaneError('invalid-option', `there is no fork '${name}': choose of ${FORK_NAMES.join(', ')}`);
  return fork;
}

/** The name of a fork. */
export function forkName(fork: number): string {
  return Object.keys(FORKS)[fork] ?? String(fork);
}
