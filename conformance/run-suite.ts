import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { PgMajor } from '@zenith/pg-format';
import { chownTree, unprivilegedUser } from '@zenith/testing';
import type { Client } from 'pg';
import { runWorkload } from '../packages/redo/src/workload.test-support.ts';
import type { RunReport } from './report/run-report.ts';
import { StockServer } from './servers/stock-server.ts';
import { SUITE_SETTINGS, type SuiteServer } from './servers/suite-server.ts';
import { ZenithServer } from './servers/zenith-server.ts';
import type { SuiteTools } from './suite-tools/suite-tools.ts';
import { compareResults } from './suites/compare-results.ts';
import type { TestOutcomes } from './suites/pg-regress.ts';
import type { Suite } from './suites/suites.ts';
import { rareRecords } from './workloads/rare-records.ts';
import type { Workload } from './workloads/workload.ts';
import { workloads } from './workloads/workloads.ts';

/** What a run needs beside its suite. */
export interface RunContext {
  readonly major: PgMajor;
  /** Where results and what the servers say are put. */
  readonly directory: string;
  readonly onProgress: (message: string) => void;
  /** @throws Error when the run was interrupted */
  readonly throwIfInterrupted: () => void;
}

/** The day, `2026-11-25`. */
function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** Compares the cluster and all WAL at the end of a run. */
async function verify(
  server: ZenithServer,
  { onProgress, throwIfInterrupted }: RunContext,
): Promise<Omit<RunReport, 'major' | 'suite' | 'date' | 'tests'>> {
  onProgress('comparing everything the pageserver has with the files of the compute');
  await server.stopAndCompare();
  let told = 0;
  const { types, mismatches, mismatchCount, walBytes } = await server.checkRedo((done) => {
    throwIfInterrupted();
    if (done < told) return;
    onProgress(`redoing all WAL and comparing each block: ${(done * 100).toFixed(0)} %`);
    told += 0.1;
  });
  const { comparisons } = server;
  const sum = (of: (one: (typeof comparisons)[number]) => number): number =>
    comparisons.reduce((total, one) => total + of(one), 0);
  return {
    walBytes,
    types: Object.fromEntries(types),
    mismatches,
    mismatchCount,
    cluster: {
      comparisons: comparisons.length,
      relationPages: sum((one) => one.relationPages),
      slruPages: sum((one) => one.slruPages),
      files: sum((one) => one.files),
      differences: comparisons
        .flatMap(({ differences }) => differences.map(({ where, what }) => `${where}: ${what}`))
        .slice(0, 40),
      differenceCount: sum((one) => one.differenceCount),
      unsupportedPages: sum((one) => one.unsupportedPages),
      missingPages: sum((one) => one.missingPages),
      mapPagesBehind: sum((one) => one.mapPagesBehind),
    },
  };
}

function userFolder(...names: readonly string[]): string {
  const folder = join(...names);
  mkdirSync(folder, { recursive: true });
  chownTree(folder, unprivilegedUser());
  return folder;
}

interface ResultsCompared {
  readonly files: number;
  readonly identical: number;
  readonly differences: readonly string[];
  /** By folder and test: `regress/rules`. */
  readonly equalButVolatile: ReadonlySet<string>;
}

/** Folders `results` below two folders, compared one by one. */
function compareAllResults(stock: string, zenith: string): ResultsCompared {
  const folders = [...new Set([stock, zenith].flatMap((folder) => readdirSync(folder)))].filter(
    (name) => name !== 'lib',
  );
  const total = { files: 0, identical: 0, differences: [] as string[], equalButVolatile: new Set<string>() };
  for (const folder of folders) {
    const { files, identical, differences, equalButVolatile } = compareResults(
      join(stock, folder, 'results'),
      join(zenith, folder, 'results'),
    );
    total.files += files;
    total.identical += identical;
    total.differences.push(...differences.map((text) => `${folder}/${text}`));
    for (const test of equalButVolatile) total.equalButVolatile.add(`${folder}/${test}`);
  }
  return total;
}

function passed(outcomes: TestOutcomes): number {
  return [...outcomes.values()].filter(Boolean).length;
}

/** Runs one of PostgreSQL's suites on a Zenith compute and on a stock server, compares the results, and has the oracle look at what the compute wrote. */
export async function runSuite(suite: Suite, tools: SuiteTools, context: RunContext): Promise<RunReport> {
  const { major, directory, onProgress } = context;
  const settings = { ...SUITE_SETTINGS, ...suite.settings };
  // Both run in a folder of the same name, which error messages show.
  const runFolder = join(directory, 'run');
  const runAs = async (server: SuiteServer): Promise<TestOutcomes> => {
    const outcomes = await suite.run(server, { tools, major, directory: userFolder(runFolder), onProgress });
    renameSync(runFolder, join(directory, server.label));
    return outcomes;
  };
  const zenith = await ZenithServer.start(major, settings);
  try {
    const onZenith = await runAs(zenith);
    const stock = await StockServer.start(major, settings, zenith.superuser);
    let onStock: TestOutcomes;
    try {
      onStock = await runAs(stock);
    } finally {
      await stock.remove();
    }
    const names = [...new Set([...onStock.keys(), ...onZenith.keys()])];
    const { equalButVolatile, ...results } = compareAllResults(join(directory, 'stock'), join(directory, 'zenith'));
    // A verdict is a comparison with the expected result, what is volatile included: of results that are equal but for that it says nothing.
    const isEqual = (name: string): boolean =>
      equalButVolatile.has(name.includes('/') ? name : `${suite.name}/${name}`) ||
      equalButVolatile.has(name.replace('/', '-isolation/'));
    return {
      major,
      suite: suite.name,
      date: today(),
      tests: {
        stock: passed(onStock),
        zenith: passed(onZenith),
        count: names.length,
        ...results,
        unequal: names.filter((name) => onStock.get(name) !== onZenith.get(name) && !isEqual(name)),
      },
      ...(await verify(zenith, context)),
    };
  } finally {
    await zenith.remove();
  }
}

/** Runs the workloads, written for kinds of records that no suite writes, on a Zenith compute, with the oracle. */
export async function runWorkloads(context: RunContext): Promise<RunReport> {
  const server = await ZenithServer.start(context.major, {
    ...SUITE_SETTINGS,
    shared_buffers: '1MB',
    wal_level: 'logical',
    track_commit_timestamp: 'on',
    autovacuum: 'off',
    wal_log_hints: 'on',
  });
  try {
    const connect = (database?: string): Promise<Client> => server.connect(database);
    const run = async (workload: Workload): Promise<void> => {
      context.onProgress(`workload: ${workload.name}`);
      await workload.run({ connect });
    };
    for (const workload of rareRecords) await run(workload);
    await server.restart();
    context.onProgress('workload: every form of the records of the access methods');
    await server.query('create database forms');
    await runWorkload({
      connect: (database?: string) => connect(database ?? 'forms'),
      query: (sql) => server.query(sql, 'forms'),
      dataDirectory: userFolder(context.directory, 'copied'),
    });
    await server.restart();
    for (const workload of workloads) await run(workload);
    return { major: context.major, suite: 'workloads', date: today(), ...(await verify(server, context)) };
  } finally {
    await server.remove();
  }
}
