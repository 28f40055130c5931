import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PG_MAJORS, type PgMajor } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { MissingTool } from './errors.ts';
import { failuresOf, type RunReport } from './report/run-report.ts';
import { formatRun } from './report/text.ts';
import { writeDocs } from './report/docs.ts';
import { runSuite, runWorkloads } from './run-suite.ts';
import { cacheFolder } from './suite-tools/cache-folder.ts';
import { killRunningCommands } from './suite-tools/run-command.ts';
import { suiteTools } from './suite-tools/suite-tools.ts';
import { SUITES, type Suite } from './suites/suites.ts';

const USAGE = `npm run conformance [-- OPTIONS]
  --pg 15|16|17|18     only this major version (may be repeated)
  --suite NAME         only this suite: ${[...Object.keys(SUITES), 'workloads'].join(', ')} (may be repeated)
  --json               one JSON document on standard output; progress goes to standard error
  --cache DIR          where the built test programs and the results of earlier runs are kept
  --keep               keep the results of the tests, whatever they are
  --write-docs         write docs/conformance.md from the newest run of each version and suite`;

type SuiteName = Suite['name'] | 'workloads';
const SUITE_NAMES: readonly SuiteName[] = ['regress', 'isolation', 'contrib', 'workloads'];

function choose<T>(what: string, given: readonly string[] | undefined, all: readonly T[]): readonly T[] {
  if (given === undefined) return all;
  return given.map((text) => {
    const found = all.find((one) => String(one) === text);
    if (found === undefined)
      throw new MissingTool(`there is no ${what} '${text}': choose of ${all.join(', ')}\n${USAGE}`);
    return found;
  });
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      pg: { type: 'string', multiple: true },
      suite: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
      cache: { type: 'string' },
      keep: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const majors = choose<PgMajor>('PostgreSQL', values.pg, PG_MAJORS.toReversed());
  const names = choose<SuiteName>('suite', values.suite, SUITE_NAMES);
  const cache = cacheFolder(values.cache);
  const tell = (message: string): void => {
    throwIfInterrupted();
    console.error(`${new Date().toISOString().slice(11, 19)} ${message}`);
  };
  const tools = names.some((name) => name !== 'workloads') ? await suiteTools(cache, tell) : undefined;
  const reports: RunReport[] = [];
  mkdirSync(join(cache, 'reports'), { recursive: true });
  for (const major of majors) {
    for (const name of names) {
      const { path: directory } = temporaryDirectory(`zenith-conformance-${major}-${name}-`);
      const context = {
        major,
        directory,
        throwIfInterrupted,
        onProgress: (message: string) => tell(`PostgreSQL ${major}, ${name}: ${message}`),
      };
      const report =
        name === 'workloads' || tools === undefined
          ? await runWorkloads(context)
          : await runSuite(SUITES[name], tools, context);
      reports.push(report);
      writeFileSync(join(cache, 'reports', `${major}-${name}.json`), JSON.stringify(report));
      if (values.keep || failuresOf(report).length > 0) tell(`the results are in ${directory}`);
      else rmSync(directory, { recursive: true });
      if (!values.json) console.log(formatRun(report));
    }
  }
  if (values.json)
    console.log(JSON.stringify({ runs: reports.map((report) => ({ ...report, failures: failuresOf(report) })) }));
  if (values['write-docs']) writeDocs(join(cache, 'reports'));
  return reports.every((report) => failuresOf(report).length === 0) ? 0 : 1;
}

// The suite that runs ends, the next line of progress ends the rest, and every server is removed on the way out.
let isInterrupted = false;
function throwIfInterrupted(): void {
  if (isInterrupted) throw new Error('interrupted');
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    isInterrupted = true;
    killRunningCommands();
  });
try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof MissingTool ? error.message : error);
  process.exitCode = error instanceof MissingTool ? 2 : 3;
}
