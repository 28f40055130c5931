import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMAND, Zenith, type CommandOutput } from './support/zenith.ts';

const ESCAPE = '\u001B';
const FRAMES = ['◒', '◐', '◓', '◑'];
const HIDE_CURSOR = `${ESCAPE}[?25l`;
const SHOW_CURSOR = `${ESCAPE}[?25h`;
const CLEAR_LINE = `\r${ESCAPE}[2K`;

let zenith: Zenith;
let elsewhere: ReturnType<typeof temporaryDirectory>;
beforeAll(async () => {
  zenith = await Zenith.init();
  elsewhere = temporaryDirectory('zenith-terminal-');
});
afterAll(async () => {
  elsewhere.remove();
  await zenith.destroy();
});

/** Runs a program whose standard input is open and never says anything: whoever asked it something would wait for ever. */
async function withSilentInput(program: string, args: readonly string[]): Promise<CommandOutput> {
  const child = spawn(program, args, { cwd: zenith.directory, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => {
      child.stdin.end();
      resolve(status);
    });
  });
  return { code, stdout, stderr };
}

/** The command on a terminal of its own, which util-linux's `script` makes: everything that it draws there. */
async function onTerminal(...args: readonly string[]): Promise<string> {
  const line = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(' ');
  const { code, stdout, stderr } = await withSilentInput('script', ['-qec', line, '/dev/null']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** The command with pipes in place of a terminal. */
function withoutTerminal(...args: readonly string[]): Promise<CommandOutput> {
  return withSilentInput(process.execPath, [COMMAND, ...args]);
}

test('init draws its progress on a terminal, on one line that moves and is gone at the end', async () => {
  const drawn = await onTerminal('init', '--dir', join(elsewhere.path, 'terminal'));
  const [before, ...lines] = drawn.split(CLEAR_LINE);
  const after = lines.pop();
  expect(before).toBe(HIDE_CURSOR);
  expect(after?.slice(0, SHOW_CURSOR.length)).toBe(SHOW_CURSOR);
  expect(after?.slice(SHOW_CURSOR.length)).toMatch(/^new zenith repository was created in \S+\r\n$/);
  // initdb takes longer than one frame.
  expect(new Set(lines.map((line) => line[0]))).toEqual(new Set(FRAMES));
  const steps = Array.from(new Set(lines.map((line) => line.slice(2))));
  expect(steps.slice(-2)).toEqual(['creating a PostgreSQL 18 cluster (initdb)', 'importing it into the pageserver']);
});

test('init says its steps in plain lines on standard error where there is no terminal', async () => {
  const { code, stdout, stderr } = await withoutTerminal('init', '--dir', join(elsewhere.path, 'pipe'));
  expect(code).toBe(0);
  expect(stdout).toMatch(/^new zenith repository was created in \S+\n$/);
  expect(stderr).toBe(
    'looking for PostgreSQL\ncreating a PostgreSQL 18 cluster (initdb)\nimporting it into the pageserver\n',
  );
});

test('start, pg start, pg stop and stop say the same on a terminal as elsewhere, and nobody is asked anything', async () => {
  const [terminal, pipe]: [string[], string[]] = [[], []];
  const session = [['start'], ['pg', 'start', 'main'], ['pg', 'stop', 'main'], ['stop']];
  /** Dots come by the second. */
  const said = (text: string): string => text.replaceAll('\r\n', '\n').replaceAll(/\.{3,}/g, '...');
  for (const args of session) {
    const drawn = await onTerminal(...args);
    expect(drawn).not.toContain(ESCAPE);
    terminal.push(said(drawn));
  }
  for (const args of session) {
    const { code, stdout, stderr } = await withoutTerminal(...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    pipe.push(said(stdout));
  }
  expect(terminal[1]).toMatch(/^Starting postgres node at '.*'\nwaiting for server to start\.\.\. done\n$/);
  expect(pipe).toEqual(terminal);
});
