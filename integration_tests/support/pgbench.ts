import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryDirectory } from '@zenith/testing';

const run = promisify(execFile);

/** A server to drive. */
export interface Target {
  readonly port: number;
  readonly user: string;
}

/** What pgbench reported. */
export interface PgbenchResult {
  /** Transactions per second, without the time to connect. */
  readonly tps: number;
  /** Transactions it saw committed. */
  readonly transactions: number;
  /** Transactions that failed. */
  readonly failed: number;
  /** Mean. Unit: ms. */
  readonly latencyMs: number;
}

/** How long transactions took. Unit: ms. */
export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** True when a distribution's pgbench is there. */
export function hasPgbench(): boolean {
  return locateClient('pgbench') !== undefined;
}

/** Where a distribution's program is. @throws Error that says how to get it */
function findClient(program: string): string {
  const path = locateClient(program);
  if (path === undefined)
    throw new Error(`${program} was not found (Debian: apt-get install postgresql-client postgresql-contrib)`);
  return path;
}

function locateClient(program: string): string | undefined {
  for (const folder of [
    '/usr/lib/postgresql/18/bin',
    '/usr/lib/postgresql/17/bin',
    '/usr/lib/postgresql/16/bin',
    '/usr/lib/postgresql/15/bin',
    '/usr/bin',
  ]) {
    if (existsSync(`${folder}/${program}`)) return `${folder}/${program}`;
  }
  return undefined;
}

async function pgbench({ port, user }: Target, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(
    findClient('pgbench'),
    ['-h', '127.0.0.1', '-p', String(port), '-U', user, ...args, 'postgres'],
    {
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return stdout + stderr;
}

/** `pgbench -i`: makes the tables of TPC-B, `scale` × 100,000 accounts. */
export async function pgbenchInitialize(target: Target, scale: number): Promise<void> {
  await pgbench(target, ['-i', '-q', '-s', String(scale)]);
}

/** Runs `transactions` of TPC-B with 8 clients. @throws Error with its output when it fails */
export async function pgbenchTransactions(target: Target, transactions: number): Promise<void> {
  await pgbench(target, ['-n', '-c', '8', '-j', '2', '-t', String(Math.ceil(transactions / 8))]);
}

/** Runs pgbench for `seconds` with 8 clients: TPC-B, or its selects only. @throws Error with its output when it fails, which a lost connection makes it do */
export function pgbenchRun(target: Target, seconds: number, selectOnly = false): Promise<PgbenchResult> {
  return runFor(target, seconds, 8, selectOnly ? ['-S', '-M', 'prepared'] : []);
}

/** TPC-B with 8 clients for `seconds`, or until its server is killed under it. @returns the transactions that it saw committed by then */
export async function pgbenchUntilKilled(target: Target, seconds: number): Promise<number> {
  try {
    return (await runFor(target, seconds, 8, [])).transactions;
  } catch (error) {
    const { code, stdout = '' } = error as { code?: unknown; stdout?: string };
    // 1: it could not connect; 2: connections were lost, and it says what it has done all the same.
    if (code === 1) return 0;
    const seen = /actually processed: (\d+)/.exec(stdout)?.[1];
    if (code !== 2 || seen === undefined) throw error;
    return Number(seen);
  }
}

/** TPC-B as {@link pgbenchRun} runs it, with how long its transactions took. */
export function pgbenchLatencies(target: Target, seconds: number): Promise<PgbenchResult & Latencies> {
  return withLatencies((log) => runFor(target, seconds, 8, log));
}

/** One client that commits one row after another, for `seconds`: how long a commit takes that waits for nobody else. Needs the tables of {@link pgbenchInitialize}. */
export async function pgbenchCommits(target: Target, seconds: number): Promise<PgbenchResult & Latencies> {
  const { path, remove } = temporaryDirectory('zenith-pgbench-');
  try {
    const script = join(path, 'commit.sql');
    writeFileSync(script, 'insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, 1, 1, now());\n');
    return await withLatencies((log) => runFor(target, seconds, 1, ['-f', script, ...log]));
  } finally {
    remove();
  }
}

/** Runs pgbench with what makes it log each transaction, and reads the log. */
async function withLatencies(
  run: (logArguments: readonly string[]) => Promise<PgbenchResult>,
): Promise<PgbenchResult & Latencies> {
  const { path, remove } = temporaryDirectory('zenith-pgbench-');
  try {
    const result = await run(['--log', `--log-prefix=${join(path, 'log')}`]);
    // client, transaction, latency in microseconds, script, time; one file for each thread
    const latencies = readdirSync(path)
      .flatMap((name) => readFileSync(join(path, name), 'utf8').trimEnd().split('\n'))
      .map((line) => Number(line.split(' ')[2]) / 1000)
      .sort((a, b) => a - b);
    const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
    return { ...result, p50Ms: at(0.5), p99Ms: at(0.99) };
  } finally {
    remove();
  }
}

async function runFor(
  target: Target,
  seconds: number,
  clients: number,
  more: readonly string[],
): Promise<PgbenchResult> {
  const output = await pgbench(target, [
    '-n',
    '-c',
    String(clients),
    '-j',
    String(Math.min(clients, 2)),
    '-T',
    String(seconds),
    ...more,
  ]);
  const number = (pattern: RegExp): number => {
    const text = pattern.exec(output)?.[1];
    if (text === undefined) throw new Error(`pgbench printed something else: ${output}`);
    return Number(text);
  };
  return {
    tps: number(/tps = ([\d.]+) \(without/),
    transactions: number(/actually processed: (\d+)/),
    failed: number(/failed transactions: (\d+)/),
    latencyMs: number(/latency average = ([\d.]+)/),
  };
}
