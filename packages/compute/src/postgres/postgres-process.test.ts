import { temporaryDirectory } from '@zenith/testing';
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serverEnvironment } from './environment.ts';
import { endLeftovers, postgresProcessesBelow } from './leftovers.ts';
import { readPostmasterPid } from './postmaster-pid.ts';
import { PostgresProcess, describeExit, lastComplaint, lastCrash } from './postgres-process.ts';

const user = { name: 'me', uid: 1, gid: 1, spawnAs: {} };

describe('the postmaster', () => {
  it('is known by its pid file, line by line as it is written', () => {
    const directory = temporaryDirectory();
    const file = join(directory.path, 'postmaster.pid');
    expect(readPostmasterPid(directory.path)).toBeUndefined();
    writeFileSync(file, '');
    expect(readPostmasterPid(directory.path)).toBeUndefined();
    writeFileSync(file, '4711\n/data\n');
    expect(readPostmasterPid(directory.path)).toEqual({ pid: 4711, status: '' });
    writeFileSync(file, '4711\n/data\n1700000000\n5432\n\n127.0.0.1\n  123  456\nready   \n');
    expect(readPostmasterPid(directory.path)).toEqual({ pid: 4711, status: 'ready' });
    directory.remove();
  });

  it('that an earlier supervisor left behind is ended, and nobody else who works there', async () => {
    const directory = temporaryDirectory();
    const pgdata = join(directory.path, 'pgdata');
    const elsewhere = join(`${directory.path}-other`);
    for (const folder of [pgdata, elsewhere]) mkdirSync(folder);
    copyFileSync('/bin/sleep', join(directory.path, 'postgres')); // any program under that name
    chmodSync(join(directory.path, 'postgres'), 0o755);
    const start = (program: string, cwd: string): ChildProcess => spawn(program, ['60'], { cwd, stdio: 'ignore' });
    const backend = start(join(directory.path, 'postgres'), pgdata);
    const stranger = start('/bin/sleep', pgdata);
    const neighbour = start(join(directory.path, 'postgres'), elsewhere);
    await expect.poll(() => postgresProcessesBelow(directory.path), { timeout: 5000 }).toEqual([backend.pid]);
    await endLeftovers(directory.path);
    expect(postgresProcessesBelow(directory.path)).toEqual([]);
    for (const child of [stranger, neighbour]) {
      expect(child.exitCode ?? child.signalCode).toBeNull();
      child.kill('SIGKILL');
    }
    rmSync(elsewhere, { recursive: true });
    directory.remove();
  });

  it('that does not start is reported in its own words', async () => {
    const directory = temporaryDirectory();
    const binDir = join(directory.path, 'bin');
    mkdirSync(binDir);
    mkdirSync(join(directory.path, 'pgdata'));
    writeFileSync(
      join(binDir, 'postgres'),
      '#!/bin/sh\necho "2026-01-01 LOG:  starting" >&2\necho "2026-01-01 FATAL:  the moon is full" >&2\nexit 1\n',
      { mode: 0o755 },
    );
    const logFile = join(directory.path, 'postgres.log');
    writeFileSync(logFile, 'FATAL:  an old complaint\n');
    const postgres = PostgresProcess.start({
      installation: { major: 18, binDir, root: undefined },
      user,
      pgdata: join(directory.path, 'pgdata'),
      args: [],
      logFile,
    });
    await expect(postgres.ready(10_000)).rejects.toMatchObject({
      code: 'postgres-exited',
      message: expect.stringMatching(/exit code 1 before it was ready: FATAL: {2}the moon is full; see /) as string,
    });
    expect(postgres.pid).toBeUndefined();
    expect(await postgres.stop('immediate', 0)).toBe('immediate');
    directory.remove();
  });

  it('that cannot be spawned ends instead of hanging', async () => {
    const directory = temporaryDirectory();
    const postgres = PostgresProcess.start({
      installation: { major: 18, binDir: '/nonexistent', root: undefined },
      user,
      pgdata: directory.path,
      args: [],
      logFile: join(directory.path, 'log'),
    });
    await expect(postgres.ready(10_000)).rejects.toMatchObject({ code: 'postgres-exited' });
    directory.remove();
  });

  it('is stopped immediately when a fast stop takes too long', async () => {
    const directory = temporaryDirectory();
    writeFileSync(
      join(directory.path, 'postgres'),
      "#!/bin/sh\ntrap 'echo INT >&2' INT\ntrap 'echo QUIT >&2; exit 0' QUIT\necho up >&2\nwhile :; do sleep 0.05; done\n",
      { mode: 0o755 },
    );
    const postgres = PostgresProcess.start({
      installation: { major: 18, binDir: directory.path, root: undefined },
      user,
      pgdata: directory.path,
      args: [],
      logFile: join(directory.path, 'log'),
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await postgres.stop('fast', 300)).toBe('immediate');
    expect(describeExit(await postgres.exited)).toBe('exit code 0');
    directory.remove();
  });

  it('is gone only when all that it has forked are, however it ended itself', async () => {
    const directory = temporaryDirectory();
    const pidFile = join(directory.path, 'backend.pid');
    // The backend leaves session and process group, as PostgreSQL's do.
    writeFileSync(
      join(directory.path, 'postgres'),
      `#!/bin/sh\nsetsid sleep 60 & echo $! > ${pidFile}.new; mv ${pidFile}.new ${pidFile}\nwait\n`,
      { mode: 0o755 },
    );
    const postgres = PostgresProcess.start({
      installation: { major: 18, binDir: directory.path, root: undefined },
      user,
      pgdata: directory.path,
      args: [],
      logFile: join(directory.path, 'log'),
    });
    let gone = false;
    void postgres.gone.then(() => (gone = true));
    await expect.poll(() => existsSync(pidFile), { timeout: 5000 }).toBe(true);
    const backend = Number(readFileSync(pidFile, 'utf8'));
    process.kill(postgres.pid ?? 0, 'SIGKILL');
    expect(describeExit(await postgres.exited)).toBe('signal SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(gone).toBe(false);
    process.kill(backend, 'SIGKILL');
    await postgres.gone;
    directory.remove();
  });

  it('has the crash that ended it found in a log, and no background worker that just ended', () => {
    const log = [
      '2026-01-01 00:00:00.000 UTC [7] LOG:  background worker "x" (PID 8) exited with exit code 1',
      '2026-01-01 00:00:01.000 UTC [7] LOG:  client backend (PID 9) was terminated by signal 9: Killed',
      '2026-01-01 00:00:01.001 UTC [7] DETAIL:  Failed process was running: select 1',
      '2026-01-01 00:00:01.002 UTC [7] LOG:  terminating any other active server processes',
      '2026-01-01 00:00:01.003 UTC [7] LOG:  shutting down because "restart_after_crash" is off',
    ];
    expect(lastCrash(log.join('\n'))).toBe('client backend (PID 9) was terminated by signal 9: Killed');
    expect(lastCrash(`${log[0]}\n`)).toBeUndefined();
    expect(lastCrash('x LOG:  checkpointer process (PID 5) exited with exit code 70\n')).toBe(
      'checkpointer process (PID 5) exited with exit code 70',
    );
  });

  it('gets nothing of the caller’s environment but PATH', () => {
    process.env['PGDATABASE'] = 'leak';
    expect(Object.keys(serverEnvironment({ EXTRA: '1' })).sort()).toEqual(['EXTRA', 'LC_ALL', 'PATH', 'TZ']);
    delete process.env['PGDATABASE'];
  });

  it('has its last complaint found in a log', () => {
    expect(lastComplaint('a LOG:  x\nb FATAL:  y\nc LOG:  database system is shut down\n')).toBe('FATAL:  y');
    expect(lastComplaint('nothing of note\n')).toBeUndefined();
    const refused = 'd FATAL:  configuration file "/pgdata/postgresql.conf" contains errors\n';
    expect(lastComplaint(`x LOG:  unrecognized configuration parameter "wrk_mem" in file "f" line 3\n${refused}`)).toBe(
      'unrecognized configuration parameter "wrk_mem" in file "f" line 3',
    );
    expect(lastComplaint(`x LOG:  invalid value for parameter "work_mem": "much"\nx HINT:  units\n${refused}`)).toBe(
      'invalid value for parameter "work_mem": "much"',
    );
    expect(lastComplaint(refused)).toMatch(/^FATAL/);
  });
});
