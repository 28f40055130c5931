import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findInstallation } from '@zenith/compute';
import { formatOf, type PgMajor } from '@zenith/pg-format';
import pg from 'pg';
import { chownTree, unprivilegedUser, type OsUser } from './os-user.ts';
import { freePort } from './free-port.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** The folder (bin, lib, share) of the stock PostgreSQL of that major version that npm delivered. @throws ComputeError when it is not installed */
export function stockInstallation(major: PgMajor): string {
  return dirname(findInstallation(major).binDir);
}

/** How to make and start a {@link StockPostgres}. */
export interface StockPostgresOptions {
  readonly major: PgMajor;
  /** Lines for postgresql.conf, `name = value`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More arguments for initdb. */
  readonly initdb?: readonly string[];
  /** Name of the database superuser, `postgres` when left out. */
  readonly superuser?: string;
  /** More environment for the server, LD_PRELOAD for one. */
  readonly env?: Readonly<Record<string, string>>;
  /** Use this existing data directory instead of making one. It must belong to the user of {@link unprivilegedUser}. */
  readonly dataDirectory?: string;
}

/** A stock PostgreSQL in a temporary directory, superuser `postgres` unless another name was given, on a free port of 127.0.0.1. */
export class StockPostgres {
  readonly major: PgMajor;
  readonly dataDirectory: string;
  readonly installation: string;
  readonly superuser: string;
  /** Set by {@link start}. */
  port = 0;
  readonly #user: OsUser = unprivilegedUser();
  readonly #options: StockPostgresOptions;
  readonly #removeDirectory: () => void;
  #server: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(options: StockPostgresOptions, dataDirectory: string, removeDirectory: () => void) {
    this.major = options.major;
    this.superuser = options.superuser ?? 'postgres';
    this.installation = stockInstallation(options.major);
    this.#options = options;
    this.dataDirectory = dataDirectory;
    this.#removeDirectory = removeDirectory;
  }

  /** Runs initdb (C locale, UTF-8, no data checksums, trust) unless a data directory was given. The server is not started. */
  static create(options: StockPostgresOptions): StockPostgres {
    if (options.dataDirectory !== undefined) return new StockPostgres(options, options.dataDirectory, () => undefined);
    const directory = temporaryDirectory('zenith-pg-');
    const server = new StockPostgres(options, join(directory.path, 'data'), () => directory.remove());
    mkdirSync(server.dataDirectory, { mode: 0o700 });
    chownTree(directory.path, server.#user);
    server.#run('initdb', [
      '-D',
      server.dataDirectory,
      '-U',
      server.superuser,
      '--auth=trust',
      '--no-locale',
      '-E',
      'UTF8',
      '--no-sync',
      '--no-instructions',
      ...(formatOf(options.major).dataChecksumsByDefault ? ['--no-data-checksums'] : []),
      ...(options.initdb ?? []),
    ]);
    const settings = { fsync: 'off', unix_socket_directories: '', listen_addresses: '127.0.0.1', ...options.settings };
    appendFileSync(
      join(server.dataDirectory, 'postgresql.conf'),
      Object.entries(settings)
        .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
        .join(''),
    );
    return server;
  }

  #env(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', ...this.#options.env };
  }

  #run(program: string, args: readonly string[]): string {
    const result = spawnSync(join(this.installation, 'bin', program), args, {
      ...this.#user,
      cwd: '/',
      env: this.#env(),
      encoding: 'utf8',
    });
    if (result.error !== undefined) throw result.error;
    if (result.status !== 0) throw new Error(`${program} failed: ${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  /** Starts the server and resolves when it accepts connections. @throws Error with the end of its log when it exits instead */
  async start(): Promise<void> {
    if (this.#server !== undefined) throw new Error('already started');
    this.port = await freePort();
    const logFile = join(dirname(this.dataDirectory), 'postgres.log');
    const log = openSync(logFile, 'a');
    const child = spawn(
      join(this.installation, 'bin', 'postgres'),
      ['-D', this.dataDirectory, '-p', String(this.port)],
      { ...this.#user, cwd: '/', env: this.#env(), stdio: ['ignore', log, log] },
    );
    closeSync(log);
    this.#server = child;
    let gone = false;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => {
        gone = true;
        this.#server = undefined;
        resolve();
      });
    });
    for (;;) {
      if (gone) throw new Error(`postgres exited: ${readFileSync(logFile, 'utf8').slice(-2000)}`);
      try {
        await this.query('select 1');
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 25)); // PostgreSQL offers no event for this to a client
      }
    }
  }

  /** A new connected client; the caller ends it. */
  async connect(database = 'postgres'): Promise<pg.Client> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: this.superuser, database });
    client.on('error', () => undefined); // a crash test kills the server under it; queries in flight reject by themselves
    await client.connect();
    return client;
  }

  /** Runs SQL (several statements may stand in it) and gives the rows of the last statement. */
  async query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = await this.connect(database);
    try {
      const result = (await client.query(sql)) as pg.QueryResult | pg.QueryResult[];
      return (Array.isArray(result) ? result.at(-1) : result)?.rows ?? [];
    } finally {
      await client.end();
    }
  }

  /** The postmaster's process id. */
  get pid(): number {
    const pid = this.#server?.pid;
    if (pid === undefined) throw new Error('not running');
    return pid;
  }

  /** Fast shutdown with its checkpoint; resolves when the server is gone. */
  async stop(): Promise<void> {
    this.#server?.kill('SIGINT');
    await this.#exited;
  }

  /** Kills the postmaster and its children with SIGKILL: a crash. Resolves when all of them are gone: one that still lives would keep the next start from the data directory. */
  async kill(): Promise<void> {
    const pid = this.#server?.pid;
    if (pid === undefined) return;
    process.kill(pid, 'SIGSTOP'); // it starts no more children
    const children = childrenOf(pid);
    for (const child of children) {
      try {
        process.kill(child, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended in between
      }
    }
    this.#server?.kill('SIGKILL');
    await this.#exited;
    const deadlineMs = performance.now() + KILLED_WITHIN_MS;
    while (children.some(isAlive)) {
      if (performance.now() > deadlineMs) throw new Error('a killed process of PostgreSQL does not end');
      await new Promise((resolve) => setTimeout(resolve, 5)); // nobody is told of the end of another's child
    }
  }

  /** Stops the server if it runs and removes its directory if {@link create} made it. */
  async remove(): Promise<void> {
    await this.stop();
    this.#removeDirectory();
  }
}

/** How long the kernel may take to end processes that were killed. Unit: ms. */
const KILLED_WITHIN_MS = 30_000;

/** State and parent of a process; undefined when there is none. Source: proc(5), /proc/pid/stat. */
function processStat(pid: number): { readonly state: string; readonly parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return undefined; // it ended in between
  }
}

/** False for a zombie too: it holds no memory and no files any more. */
function isAlive(pid: number): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X';
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && processStat(Number(name))?.parent === pid)
    .map(Number);
}
