import { CommanderError } from 'commander';
import { ExitCode } from '../output/exit-code.ts';
import { describeFailure, formatFailure, UsageError } from '../output/failure.ts';
import { buildProgram } from './program.ts';
import type { Surroundings } from './runner.ts';

/** Turns commander's complaint, which may have several lines and a prefix, into one line. */
function usageMessage({ message }: CommanderError): string {
  const text = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
  return `${text.replace(/\.$/, '')}; see 'zenith --help'`;
}

/**
 * Runs one command line.
 * @param args without node and the script
 * @returns the exit status; whatever went wrong has been said in one line on standard error
 */
export async function runCommandLine(
  args: readonly string[],
  around: Surroundings,
  version: string,
): Promise<ExitCode> {
  const json = args.includes('--json');
  try {
    const program = buildProgram(around, version);
    if (args.length === 0) {
      program.outputHelp();
      return ExitCode.ok;
    }
    await program.parseAsync([...args], { from: 'user' });
    return ExitCode.ok;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return ExitCode.ok;
    const usage =
      thrown instanceof CommanderError
        ? new UsageError(
            thrown.code === 'commander.help' ? "a command is missing; see 'zenith pg --help'" : usageMessage(thrown),
            { cause: thrown },
          )
        : thrown;
    const failure = describeFailure(usage);
    around.stderr.write(`${formatFailure(failure, json)}\n`);
    if (process.env['ZENITH_DEBUG'] === '1' && thrown instanceof Error) around.stderr.write(`${thrown.stack}\n`);
    return failure.exitCode;
  }
}
