import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { closeSync, fstatSync, openSync, readSync, watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ComputeError } from '../errors.ts';
import type { Installation } from '../installation/installation.ts';
import type { OsUser } from '../os-user/os-user.ts';
import { serverEnvironment } from './environment.ts';
import { readPostmasterPid } from './postmaster-pid.ts';

/** What to run, as whom and on what. */
export interface PostgresProcessOptions {
  readonly installation: Installation;
  readonly user: OsUser;
  /** Absolute path of the data directory. */
  readonly pgdata: string;
  /** Arguments besides `-D`. */
  readonly args: readonly string[];
  /** Absolute path of the preload library, and of the presence map it works on; both left out in tests that have no missing blocks. */
  readonly preload?: { readonly library: string; readonly presenceMap: string };
  /** File that gets what PostgreSQL prints; appended to. */
  readonly logFile: string;
}

/** How a PostgreSQL ended. */
export interface PostgresExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `fast`: roll back, checkpoint, and wait until the WAL proposer has all of it. `immediate`: stop now. */
export type StopMode = 'fast' | 'immediate';

const STOP_SIGNAL = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<StopMode, NodeJS.Signals>;

/** The directory watch can miss an event when the kernel's queue runs over; this look makes up for it. Unit: milliseconds. */
const READY_LOOK_EVERY_MS = 100;

/** After an immediate stop PostgreSQL kills its own children after 5 s (SIGKILL_CHILDREN_AFTER_SECS); past this it is killed. Unit: milliseconds. */
const IMMEDIATE_STOP_MAX_MS = 10_000;

/** How much of the log's end is searched for the reason of a failed start. Unit: bytes. */
const LOG_TAIL_BYTES = 16_384;

/** The descriptor of the lifeline: a socket that every process PostgreSQL forks inherits and nobody writes to. It ends when the last of them is gone, which no look at /proc can say as surely. */
const LIFELINE = 3;

/** A postmaster that is a direct child of this process, so that its end is an event and its library can tie its life to ours. */
export class PostgresProcess {
  readonly #options: PostgresProcessOptions;
  readonly #child: ChildProcess;
  readonly #logStart: number;
  #exit: PostgresExit | undefined;
  /** Resolves when PostgreSQL is gone, however it went; never rejects. */
  readonly exited: Promise<PostgresExit>;
  /** Resolves when the postmaster and every process it has forked are gone: backends outlive a postmaster that is killed. Never rejects. */
  readonly gone: Promise<void>;

  private constructor(options: PostgresProcessOptions, child: ChildProcess, logStart: number) {
    this.#options = options;
    this.#child = child;
    this.#logStart = logStart;
    this.exited = new Promise((resolve) => {
      const end = (exit: PostgresExit): void => {
        this.#exit ??= exit;
        resolve(this.#exit);
      };
      child.once('exit', (code, signal) => end({ code, signal }));
      child.once('error', () => {
        if (child.pid === undefined) end({ code: -1, signal: null }); // it could not be spawned at all
      });
    });
    this.gone = new Promise((resolve) => {
      child.once('close', () => resolve()); // its exit, and the end of the lifeline
      child.once('error', () => {
        if (child.pid === undefined) resolve();
      });
    });
    const lifeline = child.stdio[LIFELINE] as Readable | null | undefined;
    lifeline?.on('error', () => undefined).resume(); // an error closes it too; its end is only seen by who reads
  }

  /** Starts the postmaster; {@link ready} tells when it takes connections. */
  static start(options: PostgresProcessOptions): PostgresProcess {
    const log = openSync(options.logFile, 'a', 0o640);
    try {
      const logStart = fstatSync(log).size;
      const { preload } = options;
      const env = serverEnvironment(
        preload === undefined
          ? {}
          : {
              LD_PRELOAD: preload.library,
              ZENITH_PRESENCE_MAP: preload.presenceMap,
              ZENITH_SUPERVISOR_PID: String(process.pid),
            },
      );
      const child = spawn(join(options.installation.binDir, 'postgres'), ['-D', options.pgdata, ...options.args], {
        ...options.user.spawnAs,
        cwd: '/',
        env,
        stdio: ['ignore', log, log, 'pipe'],
      });
      return new PostgresProcess(options, child, logStart);
    } finally {
      closeSync(log);
    }
  }

  /** How it ended; undefined while it runs. */
  get exit(): PostgresExit | undefined {
    return this.#exit;
  }

  /** The postmaster's process id; undefined when it could not be spawned or is gone. */
  get pid(): number | undefined {
    return this.#exit === undefined ? this.#child.pid : undefined;
  }

  /** Resolves when PostgreSQL takes connections. @throws ComputeError `postgres-exited` with PostgreSQL's own words when it ends or is not ready in time */
  async ready(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const { pgdata } = this.#options;
    let wake: () => void = () => undefined;
    let watcher: FSWatcher | undefined;
    try {
      watcher = watch(pgdata, () => wake());
      watcher.on('error', () => watcher?.close()); // the looks below are enough
    } catch {
      watcher = undefined;
    }
    try {
      for (;;) {
        const event = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const file = readPostmasterPid(pgdata);
        if (this.#exit === undefined && file?.status === 'ready' && file.pid === this.#child.pid) return;
        if (this.#exit !== undefined)
          throw this.#failure(`PostgreSQL ended with ${describeExit(this.#exit)} before it was ready`);
        if (performance.now() >= deadline) throw this.#failure(`PostgreSQL was not ready within ${timeoutMs} ms`);
        await Promise.race([event, this.exited, sleep(READY_LOOK_EVERY_MS)]);
      }
    } finally {
      watcher?.close();
    }
  }

  /**
   * Stops PostgreSQL and resolves when it is gone. A fast stop that takes longer than `timeoutMs` becomes an immediate one, an immediate one that does not work becomes a kill.
   * @returns the mode that did it
   */
  async stop(mode: StopMode, timeoutMs: number): Promise<StopMode> {
    if (mode === 'fast') {
      this.#child.kill(STOP_SIGNAL.fast);
      if (await this.#endsWithin(timeoutMs)) return 'fast';
    }
    this.#child.kill(STOP_SIGNAL.immediate);
    if (!(await this.#endsWithin(IMMEDIATE_STOP_MAX_MS))) this.#child.kill('SIGKILL');
    await this.exited;
    return 'immediate';
  }

  /** What PostgreSQL's log says of the process whose crash made the postmaster give up; undefined when it says nothing of the kind. */
  get crashReport(): string | undefined {
    return lastCrash(tail(this.#options.logFile, this.#logStart));
  }

  /** Asks for an immediate stop and returns at once: what a fenced compute does first. */
  quit(): void {
    this.#child.kill(STOP_SIGNAL.immediate);
  }

  async #endsWithin(ms: number): Promise<boolean> {
    if (this.#exit !== undefined) return true;
    const timer = new AbortController();
    const ended = await Promise.race([
      this.exited.then(() => true),
      sleep(ms, false, { signal: timer.signal }).catch(() => false),
    ]);
    timer.abort();
    return ended;
  }

  #failure(what: string): ComputeError {
    const reason = lastComplaint(tail(this.#options.logFile, this.#logStart));
    return new ComputeError(
      'postgres-exited',
      `${what}${reason === undefined ? '' : `: ${reason}`}; see '${this.#options.logFile}'`,
    );
  }
}

/** How a process ended, for a person. */
export function describeExit(exit: PostgresExit): string {
  return exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}

function tail(file: string, from: number): string {
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(from, size - LOG_TAIL_BYTES);
    const bytes = Buffer.alloc(size - start);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, start)).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** The last process that a log says has crashed; exit codes 0 and 1 are none. PG: postmaster.c, LogChildExit(), HandleChildCrash(). */
export function lastCrash(log: string): string | undefined {
  const crash =
    /\bLOG: +(.* \(PID \d+\) (?:was terminated by (?:signal|exception) .*|exited with exit code (?:[2-9]|\d{2,})))$/;
  for (const line of log.split('\n').reverse()) {
    const match = crash.exec(line);
    if (match !== null) return match[1];
  }
  return undefined;
}

/**
 * The last line in which PostgreSQL says what is wrong; undefined when there is none. Of a configuration file that it refuses: the last setting that is wrong in it. PG: guc-file.l, ProcessConfigFileInternal(), says which in
 * a line of its own.
 */
export function lastComplaint(log: string): string | undefined {
  const complaint = /\b(?:PANIC|FATAL|ERROR|could not)\b.*/;
  const setting = /\bLOG: +(.*(?:configuration parameter|parameter) ".*)/;
  const lines = log.split('\n').reverse();
  const at = lines.findIndex((line) => complaint.test(line));
  const found = complaint.exec(lines[at] ?? '')?.[0].trim();
  if (found === undefined || !/configuration file .* contains errors/.test(found)) return found;
  return setting.exec(lines.slice(at).find((line) => setting.test(line)) ?? '')?.[1]?.trim() ?? found;
}
