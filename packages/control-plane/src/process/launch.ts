import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { ProcessFlag } from '@zenith/service';
import { ControlPlaneError, isSystemError, oneLine } from '../errors.ts';
import { LAUNCH_FLAG } from './service-process.ts';

/** What is started and how long it may take. */
export interface LaunchOptions {
  /** For messages: "the pageserver", "safekeeper 2". */
  readonly what: string;
  /** The service's main module. */
  readonly main: string;
  /** Its data directory. */
  readonly dataDir: string;
  /** Receives the service's standard output and error, appended. */
  readonly logFile: string;
  /** Kill it and give up when it is not ready by then. Unit: milliseconds. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A log larger than this is put aside as `<log>.1` before the next start. Unit: bytes. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** What a service that failed to start gets to end its children. Unit: milliseconds. */
const END_GRACE_MS = 5_000;

/** How much of the log's end is looked through for the reason of a failure. Unit: bytes. */
const LOG_TAIL_BYTES = 16 * 1024;

function rotateLog(logFile: string): void {
  try {
    if (statSync(logFile).size > LOG_BYTES_MAX) renameSync(logFile, `${logFile}.1`);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}

/** The last line written to the log after its first `from` bytes: pino's message where the line is JSON. */
function lastLogLine(logFile: string, from: number): string | undefined {
  let tail: string;
  try {
    tail = readFileSync(logFile).subarray(from).subarray(-LOG_TAIL_BYTES).toString('utf8');
  } catch {
    return undefined;
  }
  const line = tail.trimEnd().split('\n').at(-1)?.trim();
  if (line === undefined || line === '') return undefined;
  try {
    const entry = JSON.parse(line) as { msg?: unknown; err?: { message?: unknown } };
    const parts = [entry.msg, entry.err?.message].filter((part) => typeof part === 'string');
    if (parts.length > 0) return parts.join(': ');
  } catch {
    // Not a line of pino's: shown as it is.
  }
  return line;
}

/** Waits for the service's word over the IPC channel, or for its end. Leaves no listener behind. */
function waitForReady(child: ChildProcess, options: LaunchOptions, logStart: number): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (code: 'service-failed' | 'service-timeout' | 'interrupted', message: string): void => {
      settle();
      reject(new ControlPlaneError(code, message));
    };
    const onMessage = (message: unknown): void => {
      if (typeof message !== 'object' || message === null || !('ready' in message)) return;
      if (message.ready === true) {
        settle();
        resolve({ ...message });
        return;
      }
      const reason =
        'error' in message && typeof message.error === 'string' ? oneLine(message.error) : 'it gave no reason';
      fail('service-failed', `${options.what} did not start: ${reason}`);
    };
    const onError = (error: Error): void => fail('service-failed', `${options.what} did not start: ${error.message}`);
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      const ending = signal === null ? `exit status ${code}` : signal;
      const reason = lastLogLine(options.logFile, logStart);
      fail(
        'service-failed',
        `${options.what} ended while it was starting (${ending})${reason === undefined ? '' : `: ${reason}`}; its log is ${options.logFile}`,
      );
    };
    const timer = setTimeout(
      () =>
        fail(
          'service-timeout',
          `${options.what} was not ready after ${options.readyTimeoutMs / 1000} s; its log is ${options.logFile}`,
        ),
      options.readyTimeoutMs,
    );
    const onAbort = (): void => fail('interrupted', `interrupted while ${options.what} was starting`);
    const settle = (): void => {
      clearTimeout(timer);
      child.off('message', onMessage).off('error', onError).off('exit', onExit);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.on('message', onMessage).on('error', onError).on('exit', onExit);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    if (options.signal?.aborted === true) onAbort();
  });
}

/** Ends a service that did not become ready: it gets a moment to end its own children first. */
async function endChild(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

/**
 * Starts `node MAIN serve --data-dir DIR` as a process of its own that outlives this one, and returns once it serves.
 * @returns what the service said when it was ready
 * @throws ControlPlaneError `service-failed`, `service-timeout` or `interrupted`; nothing is left running then
 */
export async function launchService(options: LaunchOptions): Promise<Record<string, unknown>> {
  rotateLog(options.logFile);
  const log = openSync(options.logFile, 'a', 0o600);
  const logStart = fstatSync(log).size;
  // Whatever kills this command, the process that it has begun is found: findServiceProcess().
  const flag = ProcessFlag.raise(options.dataDir, LAUNCH_FLAG);
  ProcessFlag.removeAbandoned(options.dataDir, LAUNCH_FLAG); // the caller has seen that nothing runs
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [options.main, 'serve', '--data-dir', options.dataDir], {
      cwd: options.dataDir,
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
  } catch (error) {
    flag.lower();
    throw error;
  } finally {
    closeSync(log);
  }
  try {
    return await waitForReady(child, options, logStart);
  } catch (error) {
    if (child.pid !== undefined) await endChild(child);
    throw error;
  } finally {
    flag.lower();
    child.on('error', () => {});
    if (child.connected) child.disconnect();
    child.unref();
  }
}
