import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PgMajor } from '@zenith/pg-format';
import { stockInstallation } from '@zenith/testing';
import type { SuiteServer } from '../servers/suite-server.ts';
import type { SuiteTools } from '../suite-tools/suite-tools.ts';
import { contribModules } from './contrib.ts';
import { runDriver, type TestOutcomes } from './pg-regress.ts';
import { cutSchedule, formatSchedule, parseSchedule } from './schedule.ts';

/** One of PostgreSQL's test suites. */
export interface Suite {
  readonly name: 'regress' | 'isolation' | 'contrib';
  /** Settings beside those that all suites share. */
  readonly settings: Readonly<Record<string, string>>;
  /** Runs it on a server. Results go to folders `results` below `context.directory`. Each name is that of a test, after a slash the module's where it has one. */
  run(server: SuiteServer, context: SuiteContext): Promise<TestOutcomes>;
}

/** Where and with what a suite runs. */
export interface SuiteContext {
  readonly tools: SuiteTools;
  readonly major: PgMajor;
  /** An empty folder for this run. */
  readonly directory: string;
  readonly onProgress: (message: string) => void;
}

/** The server is restarted between that many runs of the regression suite, each of some of its groups: what a test finds then comes from the pageserver. */
const REGRESS_RUNS = 6;
const ISOLATION_RUNS = 3;

/** The libraries that tests load: the server's own, and `regress.so` where the server can load it. */
function libraryDirectory({ tools, major, directory }: SuiteContext): string {
  const folder = join(directory, 'lib');
  mkdirSync(folder, { recursive: true });
  for (const name of ['autoinc.so', 'refint.so']) {
    const library = join(stockInstallation(major), 'lib/postgresql', name);
    if (existsSync(library)) copyFileSync(library, join(folder, name));
  }
  if (major === tools.regressLibraryMajor)
    copyFileSync(join(tools.source, 'src/test/regress/regress.so'), join(folder, 'regress.so'));
  return folder;
}

function summary(outcomes: TestOutcomes): string {
  const passed = [...outcomes.values()].filter(Boolean).length;
  return `${outcomes.size} tests, ${passed} as expected`;
}

async function runInParts(
  server: SuiteServer,
  context: SuiteContext,
  part: {
    readonly driver: 'pg_regress' | 'pg_isolation_regress';
    readonly folder: string;
    readonly schedule: string;
    readonly database: string;
    readonly runs: number;
  },
): Promise<TestOutcomes> {
  const { tools, directory } = context;
  const library = libraryDirectory(context);
  const inputDirectory = join(tools.source, 'src/test', part.folder);
  const groups = parseSchedule(readFileSync(join(inputDirectory, part.schedule), 'utf8'));
  const all: TestOutcomes = new Map();
  const runs = cutSchedule(groups, part.runs);
  for (const [i, run] of runs.entries()) {
    if (i > 0) await server.restart();
    const schedule = join(directory, `schedule-${i + 1}`);
    writeFileSync(schedule, formatSchedule(run));
    const began = performance.now();
    const outcomes = await runDriver({
      tools,
      driver: part.driver,
      inputDirectory,
      outputDirectory: join(directory, part.folder),
      libraryDirectory: library,
      database: part.database,
      useExisting: i > 0,
      port: server.port,
      superuser: server.superuser,
      args: [`--schedule=${schedule}`],
    });
    for (const [name, isOk] of outcomes) all.set(name, isOk);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    context.onProgress(`${server.label}: part ${i + 1} of ${runs.length}: ${summary(outcomes)}, ${seconds} s`);
  }
  return all;
}

/** PostgreSQL's regression suite, all of `parallel_schedule`. */
const REGRESS: Suite = {
  name: 'regress',
  settings: {},
  run: (server, context) =>
    runInParts(server, context, {
      driver: 'pg_regress',
      folder: 'regress',
      schedule: 'parallel_schedule',
      database: 'regression',
      runs: REGRESS_RUNS,
    }),
};

/** PostgreSQL's isolation suite, all of `isolation_schedule`. */
const ISOLATION: Suite = {
  name: 'isolation',
  settings: {},
  run: (server, context) =>
    runInParts(server, context, {
      driver: 'pg_isolation_regress',
      folder: 'isolation',
      schedule: 'isolation_schedule',
      database: 'isolation_regression',
      runs: ISOLATION_RUNS,
    }),
};

/** After that many modules the server is restarted. */
const MODULES_PER_RUN = 6;

/** The suites of the contrib modules, under `wal_level=logical`, which test_decoding asks for. */
const CONTRIB: Suite = {
  name: 'contrib',
  settings: { wal_level: 'logical', max_replication_slots: '8', logical_decoding_work_mem: '64kB' },
  async run(server, context) {
    const { tools, directory } = context;
    const library = libraryDirectory(context);
    const all: TestOutcomes = new Map();
    const modules = contribModules(tools);
    for (const [i, { name, regress, isolation, options }] of modules.entries()) {
      if (i > 0 && i % MODULES_PER_RUN === 0) await server.restart();
      const common = {
        tools,
        inputDirectory: join(tools.source, 'contrib', name),
        libraryDirectory: library,
        useExisting: false,
        port: server.port,
        superuser: server.superuser,
      };
      const outcomes: TestOutcomes = new Map();
      if (regress.length > 0) {
        const run = { ...common, driver: 'pg_regress', database: `contrib_${name.replaceAll('-', '_')}` } as const;
        for (const [test, isOk] of await runDriver({
          ...run,
          outputDirectory: join(directory, name),
          args: [...options, ...regress],
        }))
          outcomes.set(`${name}/${test}`, isOk);
      }
      if (isolation.length > 0) {
        const run = {
          ...common,
          driver: 'pg_isolation_regress',
          database: `isolation_${name.replaceAll('-', '_')}`,
        } as const;
        for (const [test, isOk] of await runDriver({
          ...run,
          outputDirectory: join(directory, `${name}-isolation`),
          args: isolation,
        }))
          outcomes.set(`${name}/${test}`, isOk);
      }
      for (const [test, isOk] of outcomes) all.set(test, isOk);
      context.onProgress(`${server.label}: ${name}: ${summary(outcomes)}`);
    }
    return all;
  },
};

/** Every suite by name. */
export const SUITES: Readonly<Record<Suite['name'], Suite>> = {
  regress: REGRESS,
  isolation: ISOLATION,
  contrib: CONTRIB,
};
