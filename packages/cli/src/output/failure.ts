import { CorruptionError, ZenithError } from '@zenith/base';
import { oneLine } from '@zenith/control-plane';
import { ExitCode } from './exit-code.ts';

/** How a command failed, as it is shown. */
export interface Failure {
  /** Stable, for programs. */
  readonly code: string;
  /** One line for a person. */
  readonly message: string;
  readonly exitCode: ExitCode;
}

/** The command line makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What to show for anything that was thrown. */
export function describeFailure(thrown: unknown): Failure {
  const message = oneLine(thrown);
  if (thrown instanceof UsageError) return { code: 'usage', message, exitCode: ExitCode.usage };
  if (thrown instanceof CorruptionError) return { code: 'corruption', message, exitCode: ExitCode.failed };
  if (thrown instanceof ZenithError)
    return {
      code: thrown.code,
      message,
      exitCode: thrown.code === 'interrupted' ? ExitCode.interrupted : ExitCode.failed,
    };
  const { code } = (thrown ?? {}) as { code?: unknown };
  // What the operating system or PostgreSQL refused: their words are clear enough.
  if (thrown instanceof Error && typeof code === 'string' && /^(E[A-Z]+|[0-9A-Z]{5})$/.test(code))
    return { code: 'system', message, exitCode: ExitCode.failed };
  return {
    code: 'internal',
    message: `a defect in zenith: ${message} (set ZENITH_DEBUG=1 to see where)`,
    exitCode: ExitCode.internal,
  };
}

/** Shows a failure: one line, or one JSON document with `--json`. */
export function formatFailure({ code, message }: Failure, json: boolean): string {
  return json ? JSON.stringify({ error: { code, message } }) : `zenith: ${message}`;
}
