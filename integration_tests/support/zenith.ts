import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseLsn, parseTenantId, parseTimelineId, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { openRepository, safekeeperNodes } from '@zenith/control-plane';
import { freePorts, temporaryDirectory } from '@zenith/testing';
import { Client } from 'pg';
import { startNode } from '../../packages/control-plane/src/nodes/start-stop.ts';

/** The command's main module. */
export const COMMAND = fileURLToPath(new URL('../../packages/cli/bin/zenith.js', import.meta.url));

/** What a run of the command left. */
export interface CommandOutput {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A service that can be killed: its process id file and what it is. */
export type ServiceName = 'pageserver' | `safekeeper ${number}` | `compute ${string}`;

interface NodeJson {
  readonly service: string;
  readonly id: number | null;
  readonly status: string;
  readonly message: string | null;
  readonly port: number;
  readonly httpPort: number;
}

interface StatusJson {
  readonly tenant: string;
  readonly nodes: readonly NodeJson[];
  readonly branches: readonly {
    readonly name: string;
    readonly timeline: string;
    readonly startLsn: string;
    readonly commitLsn: string | null;
    readonly lastRecordLsn: string | null;
  }[];
  readonly endpoints: readonly {
    readonly name: string;
    readonly port: number;
    readonly status: string;
    readonly lsn: string | null;
    readonly startLsn: string | null;
  }[];
}

/** Two for the pageserver, three and three for safekeepers, the rest for computes. */
const PORTS = 40;

/** A repository of its own in a temporary directory, driven as a user drives it: by the command. */
export class Zenith {
  readonly directory: string;
  readonly #remove: () => void;
  readonly #ports = new Map<string, number>();
  #user = 'root';

  private constructor(directory: string, remove: () => void) {
    this.directory = directory;
    this.#remove = remove;
  }

  /** `zenith init` on free ports; nothing is started. @param args more arguments, e.g. `--safekeepers 3` */
  static async init(...args: string[]): Promise<Zenith> {
    const { path, remove } = temporaryDirectory('zenith-it-');
    const zenith = new Zenith(path, remove);
    // Safekeepers and computes take consecutive ports; computes' HTTP ports are looked for by the command itself.
    const base = await freePorts(PORTS);
    await zenith.run(
      'init',
      '--pageserver-port',
      String(base),
      '--pageserver-http-port',
      String(base + 1),
      '--safekeeper-port',
      String(base + 2),
      '--safekeeper-http-port',
      String(base + 5),
      '--compute-port',
      String(base + 8),
      ...args,
    );
    return zenith;
  }

  /** The `.zenith` folder. */
  get repository(): string {
    return join(this.directory, '.zenith');
  }

  /** Begins the command and kills it after a time, unless it has ended by then. Resolves when it is no more. */
  async killed(afterMs: number, ...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [COMMAND, ...args], { cwd: this.directory, stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    clearTimeout(timer);
  }

  /** Runs the command and gives what it left, whatever its exit code. */
  async try(...args: string[]): Promise<CommandOutput> {
    const child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout, stderr };
  }

  /** Runs the command. @throws Error with its output when it fails */
  async run(...args: string[]): Promise<string> {
    const output = await this.try(...args);
    if (output.code !== 0)
      throw new Error(`zenith ${args.join(' ')} exited with ${output.code}: ${output.stderr}${output.stdout}`);
    return output.stdout;
  }

  /** Runs the command with `--json` and gives its document. */
  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '--json')) as T;
  }

  /** `zenith status`. */
  status(): Promise<StatusJson> {
    return this.json<StatusJson>('status');
  }

  /** Starts PostgreSQL on a branch. */
  async startPostgres(branch: string, ...args: string[]): Promise<void> {
    const { port, user } = await this.json<{ port: number; user: string }>('pg', 'start', branch, ...args);
    this.#ports.set(branch, port);
    this.#user = user;
  }

  /** The port of a branch's PostgreSQL. */
  port(branch: string): number {
    const port = this.#ports.get(branch);
    if (port === undefined) throw new Error(`${branch} was not started`);
    return port;
  }

  /** The database superuser. */
  get user(): string {
    return this.#user;
  }

  /** A connected client; the caller ends it. */
  async connect(branch = 'main', database = 'postgres'): Promise<Client> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.port(branch),
      user: this.#user,
      database,
      connectionTimeoutMillis: 20_000,
    });
    client.on('error', () => undefined); // the server may be killed under an idle client; queries in flight reject by themselves
    await client.connect();
    return client;
  }

  /** Rows of one SQL statement. */
  async query<Row extends object = Record<string, unknown>>(
    branch: string,
    sql: string,
    database = 'postgres',
  ): Promise<Row[]> {
    const client = await this.connect(branch, database);
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ids, ports and LSNs of a branch, as tests that look below the surface want them. */
  async branch(name: string): Promise<{
    tenant: TenantId;
    timeline: TimelineId;
    startLsn: Lsn;
    commitLsn: Lsn;
    pageserverPort: number;
    pageserverHttpPort: number;
    safekeeperPort: number;
  }> {
    const status = await this.status();
    const branch = status.branches.find((one) => one.name === name);
    const pageserver = status.nodes.find((one) => one.service === 'pageserver');
    const safekeeper = status.nodes.find((one) => one.service === 'safekeeper');
    if (branch === undefined || pageserver === undefined || safekeeper === undefined)
      throw new Error(`no branch ${name} in ${JSON.stringify(status)}`);
    return {
      tenant: parseTenantId(status.tenant),
      timeline: parseTimelineId(branch.timeline),
      startLsn: parseLsn(branch.startLsn),
      commitLsn: parseLsn(branch.commitLsn ?? '0/0'),
      pageserverPort: pageserver.port,
      pageserverHttpPort: pageserver.httpPort,
      safekeeperPort: safekeeper.port,
    };
  }

  /** The process id of a service's main process. */
  pid(service: ServiceName): number {
    const [kind, name] = service.split(' ');
    const path =
      kind === 'pageserver'
        ? 'pageserver/pageserver.pid'
        : kind === 'safekeeper'
          ? `safekeepers/${name}/safekeeper.pid`
          : `computes/${name}/supervisor.pid`;
    const pid = Number.parseInt(/\d+/.exec(readFileSync(join(this.repository, path), 'utf8'))?.[0] ?? '', 10);
    if (!Number.isInteger(pid)) throw new Error(`no process id in ${path}`);
    return pid;
  }

  /** Starts one safekeeper; `zenith start` starts all that do not run. */
  async startSafekeeper(id: number): Promise<void> {
    const repository = openRepository(this.directory);
    const node = (await safekeeperNodes(repository)).find((one) => one.id === id);
    if (node === undefined) throw new Error(`no safekeeper ${id}`);
    await startNode(repository, node);
  }

  /** Kills a service with SIGKILL and waits until it is gone. */
  async kill(service: ServiceName): Promise<void> {
    await killAndWait(this.pid(service));
  }

  /** The processes whose parent is `pid`. */
  children(pid: number): number[] {
    return processes()
      .filter((one) => one.parent === pid)
      .map((one) => one.pid);
  }

  /** The processes that work on something in this directory, or in it, by their command lines. */
  processes(): readonly { readonly pid: number; readonly commandLine: string }[] {
    return processes().filter(({ pid, commandLine }) => {
      if (commandLine.includes(this.directory)) return true;
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(this.directory);
      } catch {
        return false; // it ended in between
      }
    });
  }

  /** Stops everything and removes the directory. Kills what does not stop. */
  async destroy(): Promise<void> {
    const output = await this.try('stop');
    for (const { pid } of this.processes()) await killAndWait(pid);
    this.#remove();
    if (output.code !== 0) throw new Error(`zenith stop failed: ${output.stderr}`);
  }
}

/** Sends SIGKILL and resolves when the process is no more. */
export async function killAndWait(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // it is gone already
  }
  while (processes().some((one) => one.pid === pid)) await new Promise((resolve) => setTimeout(resolve, 5)); // not our child: no event tells
}

interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly commandLine: string;
}

/** The processes that live; a zombie counts while other threads of its still hold files and ports. */
function processes(): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [state, parent] = fields;
      const threads = Number(fields[17]);
      if (state !== 'Z' || threads > 1)
        found.push({
          pid: Number(name),
          parent: Number(parent),
          commandLine: readFileSync(`/proc/${name}/cmdline`, 'utf8'),
        });
    } catch {
      continue; // the process ended in between
    }
  }
  return found;
}
