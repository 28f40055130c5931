import { CommanderError, type Command } from 'commander';
import { ExitCode } from '../output/exit-code.ts';
import { describeFailure, formatFailure, UsageError } from '../output/failure.ts';
import { buildProgram } from './program.ts';
import type { Surroundings } from './runner.ts';

/** The command that the arguments name, as far as there is one: where its help is. */
function helpOf(program: Command, args: readonly string[]): string {
  let command = program;
  for (const word of args) {
    const child = command.commands.find((one) => one.name() === word);
    if (child === undefined && !word.startsWith('-')) break;
    command = child ?? command;
  }
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return `${names.join(' ')} --help`;
}

/** Turns commander's complaint, which may have several lines and a prefix, into one line. @param help where there is more */
function usageMessage({ code, message }: CommanderError, help: string): string {
  if (code === 'commander.help') return `a command is missing; see '${help}'`;
  const text = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
  return `${text.replace(/\.$/, '')}; see '${help}'`;
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
  const program = buildProgram(around, version);
  try {
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
        ? new UsageError(usageMessage(thrown, helpOf(program, args)), { cause: thrown })
        : thrown;
    const failure = describeFailure(usage);
    around.stderr.write(`${formatFailure(failure, json)}\n`);
    if (process.env['ZENITH_DEBUG'] === '1' && thrown instanceof Error) around.stderr.write(`${thrown.stack}\n`);
    return failure.exitCode;
  }
}
