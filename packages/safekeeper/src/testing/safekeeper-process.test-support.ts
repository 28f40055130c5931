import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SafekeeperAddresses } from '../safekeeper.ts';

const FROM_SOURCES = ['--conditions=source', '--import', 'tsx', fileURLToPath(new URL('../main.ts', import.meta.url))];

/** A real safekeeper in a process of its own, run from the sources unless it is told to run what was built. */
export class SafekeeperProcess {
  readonly addresses: SafekeeperAddresses;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, addresses: SafekeeperAddresses) {
    this.#child = child;
    this.addresses = addresses;
  }

  /**
   * Starts one; resolves when it is ready.
   * @param configuration merged over ports that are free
   * @param program what Node is given before the arguments: the main module, by default that of the sources
   */
  static async start(
    dataDirectory: string,
    id: number,
    configuration: object = {},
    program: readonly string[] = FROM_SOURCES,
  ): Promise<SafekeeperProcess> {
    mkdirSync(dataDirectory, { recursive: true });
    const free = { host: '127.0.0.1', port: 0 };
    writeFileSync(
      join(dataDirectory, 'safekeeper.json'),
      JSON.stringify({ id, listen: free, http: free, logLevel: 'warn', ...configuration }),
    );
    const child = spawn(process.execPath, [...program, 'serve', '--data-dir', dataDirectory], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [message] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [
      { ready?: boolean; error?: string } & SafekeeperAddresses,
    ];
    if (message.ready !== true) {
      child.kill('SIGKILL');
      throw new Error(message.error ?? `the process ended: ${JSON.stringify(message)}`);
    }
    return new SafekeeperProcess(child, message);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended();
  }

  /** A clean stop. Resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await this.#ended();
    return this.#child.exitCode;
  }

  async #ended(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }
}
