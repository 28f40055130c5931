import type { JsonValue } from '@zenith/control-plane';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { silentOutput, TextOutput } from '../output/output.ts';

/** Options every command has. */
interface CommonOptions {
  readonly json?: boolean;
  readonly dir?: string;
}

/** The process around a command line. */
export interface Surroundings {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** The current folder. */
  readonly folder: string;
  /** Given by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** A command with the options that every command has, and examples below its help. */
export function describeCommand(name: string, description: string, examples: readonly string[]): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print one JSON document instead of text')
    .option('-C, --dir <folder>', 'work in this folder instead of the current one')
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
}

/**
 * Runs a command's work with a context made from its options and prints its result with `--json`.
 * @param command the command that was given
 */
export async function runWork(
  surroundings: Surroundings,
  command: Command,
  work: (context: CommandContext) => Promise<JsonValue>,
): Promise<void> {
  const { json = false, dir } = command.opts<CommonOptions>();
  const { stdout, stderr, signal } = surroundings;
  const output = json ? silentOutput : new TextOutput(stdout, stderr);
  const result = await work({
    output,
    folder: resolve(surroundings.folder, dir ?? '.'),
    currentFolder: surroundings.folder,
    signal,
  });
  if (json) stdout.write(`${JSON.stringify(result)}\n`);
}
