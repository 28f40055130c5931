import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { buildProgram } from './program.ts';
import { runCommandLine } from './run.ts';

/** How a run of the command ended. */
export interface CommandRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the command from its sources, in a process of its own, without a terminal.
 * @param folder the current folder it runs in
 */
export function spawnZenith(folder: string, ...args: readonly string[]): Promise<CommandRun> {
  const main = join(import.meta.dirname, '..', 'main.ts');
  // tsx is named by its path: the folder the command runs in has no node_modules.
  const argv = ['--conditions=source', '--import', import.meta.resolve('tsx'), main, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** Runs the command in this process: the same from the command line to the last line of output, without the second it takes to load the sources. */
export async function zenith(folder: string, ...args: readonly string[]): Promise<CommandRun> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const around = {
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
    folder,
    signal: new AbortController().signal,
  };
  const exitCode = await runCommandLine(args, around, '0.0.0');
  const text = (stream: PassThrough): string => String(stream.read() ?? '');
  return { exitCode, stdout: text(stdout), stderr: text(stderr) };
}

/** A command of the program. */
export interface NamedCommand {
  /** The words that name it; none for `zenith` itself. */
  readonly words: readonly string[];
  readonly command: Command;
  /** Whether it does something itself; otherwise it only holds others. */
  readonly acts: boolean;
}

/** Every command there is, as the program has them: what is added to it is in here. */
export function everyCommand(): readonly NamedCommand[] {
  const { stdout, stderr } = process;
  const around = { stdout, stderr, folder: '.', signal: new AbortController().signal };
  const from = (command: Command, words: readonly string[]): NamedCommand[] => [
    // One that only holds others has no options; those that do something have --json at least, unless it was forgotten.
    { words, command, acts: command.commands.length === 0 || (words.length > 0 && command.options.length > 0) },
    ...command.commands.flatMap((child) => from(child, [...words, child.name()])),
  ];
  return from(buildProgram(around, '0.0.0'), []);
}
