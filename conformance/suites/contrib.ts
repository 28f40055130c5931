import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SuiteTools } from '../suite-tools/suite-tools.ts';

/** A contrib module and its tests. */
export interface ContribModule {
  readonly name: string;
  readonly regress: readonly string[];
  readonly isolation: readonly string[];
  readonly options: readonly string[];
}

/**
 * The modules whose suites are run. Left out: those that need another program or language (sepgsql, sslinfo, the transforms for Perl and Python), a library that must be loaded at start
 * (pg_stat_statements, auto_explain, passwordcheck), archiving, which a compute has no use for (basic_archive), or a socket in the file system, which a compute does not open (dblink, postgres_fdw).
 */
const MODULES = [
  'amcheck',
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dict_int',
  'dict_xsyn',
  'earthdistance',
  'file_fdw',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'lo',
  'ltree',
  'pageinspect',
  'pg_freespacemap',
  'pg_surgery',
  'pg_trgm',
  'pg_visibility',
  'pg_walinspect',
  'pgcrypto',
  'pgstattuple',
  'seg',
  'tablefunc',
  'test_decoding',
  'tsm_system_rows',
  'tsm_system_time',
  'unaccent',
  'uuid-ossp',
  'xml2',
] as const;

/** The words of a variable of a Makefile; references to other variables are left out. */
export function makeVariable(makefile: string, name: string): string[] {
  const match = new RegExp(String.raw`^${name}\s*\+?=(.*)$`, 'm').exec(makefile.replaceAll(/\\\n/g, ' '));
  return (match?.[1] ?? '')
    .replaceAll(/\$\([^)]*\)/g, '')
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** The modules with their tests, as the source's Makefiles name them. */
export function contribModules(tools: SuiteTools): ContribModule[] {
  return MODULES.map((name) => {
    const makefile = readFileSync(join(tools.source, 'contrib', name, 'Makefile'), 'utf8');
    return {
      name,
      regress: makeVariable(makefile, 'REGRESS'),
      isolation: makeVariable(makefile, 'ISOLATION'),
      options: makeVariable(makefile, 'REGRESS_OPTS').filter((option) => option.startsWith('--load-extension=')),
    };
  });
}
