import { expect, test } from 'vitest';
import { killRunningCommands, runCommand } from './run-command.ts';

test('lines of both outputs are told, and the exit status is given', async () => {
  const lines: string[] = [];
  const { code, tail } = await runCommand('sh', ['-c', 'echo one; echo two >&2; exit 3'], {
    cwd: '/',
    timeoutMs: 60_000,
    onLine: (line) => lines.push(line),
  });
  expect(code).toBe(3);
  expect(lines.toSorted()).toEqual(['one', 'two']);
  expect(tail.split('\n').toSorted()).toEqual(['one', 'two']);
});

test('a program that does not end in time is killed with its children', async () => {
  // The child holds the pipe open: had it not been killed too, there would be no end.
  const run = runCommand('sh', ['-c', 'sleep 1000 & wait'], { cwd: '/', timeoutMs: 500 });
  await expect(run).rejects.toThrow('did not end within');
});

test('a program that runs is killed when all are', async () => {
  const run = runCommand('sh', ['-c', 'echo ready; sleep 1000'], {
    cwd: '/',
    timeoutMs: 60_000,
    onLine: killRunningCommands,
  });
  expect((await run).code).toBeNull();
});

test('a program that is not there is named', async () => {
  await expect(runCommand('/no/such/program', [], { cwd: '/', timeoutMs: 60_000 })).rejects.toThrow('/no/such/program');
});
