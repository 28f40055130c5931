import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fakeService, type Behaviour, type FakeService } from './fake-service.test-support.ts';
import { launchService } from './launch.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '@zenith/service';
import { findServiceProcess, LAUNCH_FLAG } from './service-process.ts';
import { signalProcess, terminate, waitForExit } from './terminate.ts';

const services: FakeService[] = [];

function service(behaviour: Behaviour): FakeService {
  const made = fakeService(behaviour);
  services.push(made);
  return made;
}

afterEach(async () => {
  for (const made of services.splice(0)) {
    const left = findServiceProcess(made.pidFile);
    if (left !== undefined) await terminate(left, 0);
    made.remove();
  }
});

const launch = (
  made: FakeService,
  more: { readyTimeoutMs?: number; signal?: AbortSignal } = {},
): Promise<Record<string, unknown>> => launchService({ what: 'the fake', readyTimeoutMs: 20_000, ...made, ...more });

function running(made: FakeService): ProcessIdentity {
  const identity = findServiceProcess(made.pidFile);
  if (identity === undefined) throw new Error('the service does not run');
  return identity;
}

test('a service that says it is ready runs on, writes its log, and stops cleanly', async () => {
  const made = service('good');
  expect(await launch(made)).toEqual({ ready: true, port: 7 });
  const identity = running(made);
  expect(readFileSync(made.logFile, 'utf8')).toContain('serving');
  expect(await terminate(identity, 20_000)).toBe('clean');
  expect(isAlive(identity)).toBe(false);
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('a service that refuses gives its reason on one line', async () => {
  const made = service('refuses');
  await expect(launch(made)).rejects.toMatchObject({
    code: 'service-failed',
    message: 'the fake did not start: the disk; is full',
  });
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('of a service that dies the last word of its log is shown', async () => {
  const made = service('dies');
  await expect(launch(made)).rejects.toMatchObject({
    code: 'service-failed',
    message: `the fake ended while it was starting (exit status 3): cannot read index: bad checksum; its log is ${made.logFile}`,
  });
});

test('what an earlier run wrote to the log is not taken for the reason', async () => {
  const made = service('dies');
  writeFileSync(made.main, 'process.exit(4)');
  writeFileSync(made.logFile, 'old news\n');
  await expect(launch(made)).rejects.toMatchObject({
    message: `the fake ended while it was starting (exit status 4); its log is ${made.logFile}`,
  });
});

test('a service that never gets ready is ended', async () => {
  const made = service('hangs');
  await expect(launch(made, { readyTimeoutMs: 500 })).rejects.toMatchObject({ code: 'service-timeout' });
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('an interrupted start leaves no process', async () => {
  const made = service('hangs');
  await expect(launch(made, { signal: AbortSignal.timeout(300) })).rejects.toMatchObject({ code: 'interrupted' });
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('a service that ignores SIGTERM is killed after its grace', async () => {
  const made = service('stubborn');
  await launch(made);
  const identity = running(made);
  expect(await terminate(identity, 100)).toBe('killed');
  expect(isAlive(identity)).toBe(false);
});

test('a pid file left by a killed service does not stand for a process', async () => {
  const made = service('good');
  await launch(made);
  const identity = running(made);
  signalProcess(identity, 'SIGKILL');
  expect(await waitForExit(identity, 10_000)).toBe(true);
  expect(readFileSync(made.pidFile, 'utf8').trim()).toBe(String(identity.pid));
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('a pid that belongs to another program now is not taken for the service', () => {
  const made = service('good');
  writeFileSync(made.pidFile, `${process.pid}\n`);
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('a pid file whose start time is not that of the process is stale', async () => {
  const made = service('good');
  await launch(made);
  const identity = running(made);
  writeFileSync(made.pidFile, `${identity.pid} ${identity.startTicks}\n`);
  expect(findServiceProcess(made.pidFile)).toEqual(identity);
  writeFileSync(made.pidFile, `${identity.pid} ${identity.startTicks + 1}\n`);
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
  await terminate(identity, 20_000);
});

test('a process that was launched and has no pid file yet is found when the command that launched it was killed', async () => {
  const made = service('stubborn');
  const command = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const { startTicks } = identifyProcess(command.pid ?? 0) ?? {};
  const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const;
  const launched = spawn(process.execPath, [made.main, 'serve', '--data-dir', made.dataDir], { stdio: [...stdio] });
  try {
    await once(launched, 'message');
    expect(existsSync(made.pidFile)).toBe(true);
    rmSync(made.pidFile); // as before it has come to it
    writeFileSync(join(made.dataDir, `${LAUNCH_FLAG}.${command.pid}-${startTicks}-00ff`), '');
    expect(findServiceProcess(made.pidFile)).toBeUndefined(); // the command lives, and knows of it
    command.kill('SIGKILL');
    await once(command, 'exit');
    expect(findServiceProcess(made.pidFile)?.pid).toBe(launched.pid);
  } finally {
    command.kill('SIGKILL');
    launched.kill('SIGKILL');
    await once(launched, 'exit');
  }
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test.each(['good', 'refuses'] as const)(
  'of a launch that has come to its end nothing stays in the data directory (%s)',
  async (behaviour) => {
    const made = service(behaviour);
    await launch(made).catch(() => undefined); // how it went is not what this is about
    expect(readdirSync(made.dataDir).filter((name) => name.startsWith(LAUNCH_FLAG))).toEqual([]);
  },
);

test('a service is found through a symbolic link to its folder', async () => {
  const made = service('good');
  const link = join(made.folder, 'link');
  symlinkSync(made.dataDir, link);
  await launch(made);
  expect(findServiceProcess(join(link, 'fake.pid'))).toEqual(running(made));
});

test.each(['', 'x', '-1', '0', '99999999999999999999'])('a pid file that holds %j is no process', (content) => {
  const made = service('good');
  writeFileSync(made.pidFile, content);
  expect(findServiceProcess(made.pidFile)).toBeUndefined();
});

test('this process finds itself, and nobody has pid 2^22 + 1', () => {
  expect(identifyProcess(process.pid)?.pid).toBe(process.pid);
  expect(identifyProcess(4_194_305)).toBeUndefined();
});
