import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { chownTree, unprivilegedUser } from '@zenith/testing';
import { runCommand } from '../suite-tools/run-command.ts';
import type { SuiteTools } from '../suite-tools/suite-tools.ts';

/** Longest that one run of a driver may take. Unit: milliseconds. */
const RUN_TIMEOUT_MS = 20 * 60_000;

/** One run of one of PostgreSQL's two test drivers. */
export interface DriverRun {
  readonly tools: SuiteTools;
  readonly driver: 'pg_regress' | 'pg_isolation_regress';
  /** The folder with `sql` or `specs`, and `expected`. */
  readonly inputDirectory: string;
  /** Where `results` go; made for PostgreSQL's OS user when it is not there. */
  readonly outputDirectory: string;
  /** Where the libraries lie that tests load. */
  readonly libraryDirectory: string;
  readonly database: string;
  /** False: `database` is dropped and made anew. */
  readonly useExisting: boolean;
  readonly port: number;
  readonly superuser: string;
  /** `--schedule=FILE`, names of tests, `--load-extension=…`. */
  readonly args: readonly string[];
}

/** What a driver said of its tests: name → whether it had one of the expected results. */
export type TestOutcomes = Map<string, boolean>;

/** Reads one line of a driver's output: `test boolean ... ok 368 ms`, or the same indented in a group. Undefined for other lines. */
export function parseOutcome(line: string): { readonly name: string; readonly isOk: boolean } | undefined {
  const match = /^(?:test|\s{4,})\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))/.exec(line);
  return match === null ? undefined : { name: match[1] as string, isOk: match[2] === 'ok' };
}

/** Runs a driver as PostgreSQL's OS user, who writes the results as the server does. @throws Error when it ends without having run its tests, or not in time */
export async function runDriver(run: DriverRun): Promise<TestOutcomes> {
  const outcomes: TestOutcomes = new Map();
  const user = unprivilegedUser();
  if (!existsSync(run.outputDirectory)) {
    mkdirSync(run.outputDirectory, { recursive: true });
    chownTree(run.outputDirectory, user);
  }
  const folder = run.driver === 'pg_regress' ? 'regress' : 'isolation';
  const { code, tail } = await runCommand(
    join(run.tools.source, 'src/test', folder, run.driver),
    [
      `--bindir=${run.tools.clientBinDir}`,
      `--inputdir=${run.inputDirectory}`,
      `--outputdir=${run.outputDirectory}`,
      `--dlpath=${run.libraryDirectory}`,
      `--dbname=${run.database}`,
      '--host=127.0.0.1',
      `--port=${run.port}`,
      `--user=${run.superuser}`,
      '--no-locale',
      '--encoding=UTF8',
      '--max-concurrent-tests=20',
      ...(run.useExisting ? ['--use-existing'] : []),
      ...run.args,
    ],
    {
      cwd: run.outputDirectory,
      env: { PATH: process.env['PATH'], HOME: run.outputDirectory, LD_LIBRARY_PATH: run.tools.libraryFolder },
      user,
      timeoutMs: RUN_TIMEOUT_MS,
      onLine: (line) => {
        const outcome = parseOutcome(line);
        if (outcome !== undefined) outcomes.set(outcome.name, outcome.isOk);
      },
    },
  );
  if ((code !== 0 && code !== 1) || outcomes.size === 0)
    throw new Error(`${run.driver} in ${run.outputDirectory} exited with ${code}:\n${tail}`);
  for (const name of ['regression.diffs', 'regression.out']) keepFile(run.outputDirectory, name);
  return outcomes;
}

/** The next run in the same folder would overwrite it. */
function keepFile(folder: string, name: string): void {
  const file = join(folder, name);
  if (!existsSync(file)) return;
  let n = 1;
  while (existsSync(`${file}.${n}`)) n++;
  renameSync(file, `${file}.${n}`);
}
