import { execFile } from 'node:child_process';
import { ControlPlaneError, oneLine, type ControlPlaneErrorCode } from '../errors.ts';
import { serviceEntryPoint } from './entry-points.ts';

/** A command of a storage service's program, other than to serve, in a process of its own. */
export interface ServiceCommand {
  readonly service: 'pageserver' | 'safekeeper';
  readonly args: readonly string[];
  /** Unit: milliseconds. */
  readonly timeoutMs: number;
  /** Unit: bytes. */
  readonly outputMax: number;
  readonly signal: AbortSignal | undefined;
  /** How a failure is told: its code, and what could not be done. */
  readonly failure: { readonly code: ControlPlaneErrorCode; readonly what: string };
}

/**
 * Runs a command of a service's program.
 * @returns the last line of its output
 * @throws ControlPlaneError with the given code, `interrupted`, `service-failed`
 */
export async function runServiceCommand(command: ServiceCommand): Promise<string> {
  const { service, args, timeoutMs, outputMax, signal, failure } = command;
  const output = await new Promise<string>((done, failed) => {
    const options = {
      encoding: 'utf8',
      timeout: timeoutMs,
      maxBuffer: outputMax,
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    } as const;
    execFile(process.execPath, [serviceEntryPoint(service), ...args], options, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else if (signal?.aborted === true) failed(new ControlPlaneError('interrupted', 'interrupted'));
      else
        failed(
          new ControlPlaneError(
            failure.code,
            `${failure.what}: ${lastLine(stderr) ?? lastLine(stdout) ?? oneLine(error)}`,
            { cause: error },
          ),
        );
    });
  });
  return lastLine(output) ?? '';
}

function lastLine(text: string): string | undefined {
  const line = text.trimEnd().split('\n').at(-1)?.trim();
  return line === undefined || line === '' ? undefined : line;
}
