import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** Runs a command of a service that ends by itself. @throws Error with its output when it fails */
export function runService(service: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(PACKAGES, service, 'dist', 'main.js'), ...args], (error, stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`${service} ${args[0]} failed: ${stderr}${stdout}`, { cause: error }));
    });
  });
}

/** What a service says when it is ready. */
export type Readiness = Readonly<Record<string, unknown>> & { readonly ready: boolean; readonly error?: string };

/** A service as the control plane runs it: a process of its own, built code, configured by a file in its data directory. */
export class ServiceProcess {
  readonly dataDir: string;
  readonly #service: string;
  #child: ChildProcess | undefined;
  /** The end of what the present run has printed. */
  #output = '';
  #exited: Promise<number | NodeJS.Signals> = Promise.resolve(0);

  /** @param service name of the package @param configFile name of its configuration */
  constructor(service: string, dataDir: string, configFile: string, config: object) {
    this.#service = service;
    this.dataDir = dataDir;
    mkdirSync(dataDir, { recursive: true });
    this.configure(configFile, config);
  }

  configure(configFile: string, config: object): void {
    writeFileSync(join(this.dataDir, configFile), JSON.stringify(config));
  }

  /** Starts it; resolves with what it says, which may be why it does not start. */
  start(): Promise<Readiness> {
    const child = spawn(
      process.execPath,
      [join(PACKAGES, this.#service, 'dist', 'main.js'), 'serve', '--data-dir', this.dataDir],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output = (this.#output + text).slice(-100_000)));
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        writeFileSync(join(this.dataDir, 'output.log'), this.#output, { flag: 'a' });
        this.#output = '';
        resolve(signal ?? code ?? -1);
      });
    });
    return new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as Readiness));
      void this.#exited.then((how) =>
        reject(new Error(`${this.#service} ended with ${how}: ${this.log.slice(-3000)}`)),
      );
    });
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('not started');
    return pid;
  }

  /** What it has printed so far, in all its runs. */
  get log(): string {
    const path = join(this.dataDir, 'output.log');
    return (existsSync(path) ? readFileSync(path, 'utf8') : '') + this.#output;
  }

  /** Exit code, or the signal that ended it. */
  get exited(): Promise<number | NodeJS.Signals> {
    return this.#exited;
  }

  /** True from its start until its end, stopped or not. */
  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child?.kill(signal);
  }

  /** SIGTERM, and its exit code. */
  async stop(): Promise<number | NodeJS.Signals> {
    this.kill('SIGTERM');
    return this.#exited;
  }
}
