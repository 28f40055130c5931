import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  SAMPLED_MAJORS,
  StockPostgres,
  chownTree,
  freePort,
  temporaryDirectory,
  unprivilegedUser,
} from '@zenith/testing';
import { PageStatus, type PageServerAddress } from '@zenith/wire';
import { makeOverlay, type Overlay } from './overlay.test-support.ts';
import { FilePageServer } from './page-server.test-support.ts';
import { readPresenceMap } from './reader.ts';

const SETTINGS = {
  allow_in_place_tablespaces: 'on',
  autovacuum: 'off',
  max_wal_size: '4GB',
  shared_buffers: '16MB',
  max_connections: '20',
};

/** What the snapshot holds. VACUUM and the like cannot run in a transaction, so each string is a query of its own. */
const SNAPSHOT = [
  `create table t as select g as id, md5(g::text) as v, g % 100 as k from generate_series(1, 60000) g`,
  `alter table t add primary key (id); create index t_k on t (k)`,
  `create table documents as select g as id, string_agg(md5((g * 1000 + i)::text), '') as body from generate_series(1, 200) g, generate_series(1, 400) i group by g`,
  `create table to_drop as select g as id from generate_series(1, 5000) g`,
  `create table to_truncate as select g as id from generate_series(1, 5000) g`,
  `create unlogged table unlogged as select g as id from generate_series(1, 5000) g`,
  `create tablespace elsewhere location ''`,
  `create table in_elsewhere tablespace elsewhere as select g as id, md5(g::text) as v from generate_series(1, 5000) g`,
  `create sequence s start 7; select nextval('s')`,
  `vacuum analyze`,
  `create database template_database`,
];

/** Questions whose answers must not depend on where pages come from; by sequential, index, index-only and bitmap scans. */
const QUESTIONS = [
  `select count(*), sum(id), sum(hashtext(v)) from t`,
  `set enable_seqscan = off; set enable_bitmapscan = off; select count(*), sum(hashtext(v)) from t where id between 20000 and 40000`,
  `set enable_seqscan = off; select count(id), sum(id) from t where id > 0`,
  `set enable_seqscan = off; set enable_indexscan = off; select count(*), sum(hashtext(v)) from t where k in (3, 50, 99)`,
  `select count(*), sum(hashtext(body)) from documents`,
  `select count(*), sum(id) from to_truncate`,
  `select count(*), sum(id) from unlogged`,
  `select count(*), sum(hashtext(v)) from in_elsewhere`,
  `select last_value from s`,
  `select count(*), sum(hashtext(relname::text)) from pg_class where relname !~ '^pg_toast'`,
  `select string_agg(datname, ',' order by datname) from pg_database`,
];

/** What a compute does to its overlay. */
const CHANGES = [
  `update t set v = v || 'x' where k = 7`,
  `update t set k = k + 1 where id % 11 = 0`,
  `delete from t where id > 45000 or id % 13 = 0`,
  `vacuum (truncate on) t`,
  `insert into t select g, md5(g::text), g % 100 from generate_series(100000, 110000) g`,
  `truncate to_truncate; insert into to_truncate select g from generate_series(1, 300) g`,
  `drop table to_drop; create table to_drop as select g as id from generate_series(1, 100) g`,
  `insert into unlogged select g from generate_series(1, 1000) g`,
  `update documents set body = reverse(body) where id % 2 = 0`,
  `checkpoint`,
  `vacuum full documents`,
  `reindex table t`,
  `vacuum full pg_class`,
  `alter table in_elsewhere set tablespace pg_default`,
  `create database copied template template_database strategy file_copy`,
  `create database logged template template_database strategy wal_log`,
  `select nextval('s')`,
  `vacuum freeze`,
  `checkpoint`,
];

async function ask(server: StockPostgres): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const question of QUESTIONS) answers.push(await server.query(question));
  return answers;
}

async function run(server: StockPostgres, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await server.query(statement);
}

async function until(what: string, condition: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  for (const end = performance.now() + timeoutMs; !(await condition());) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** False also for a process that has ended and that nobody has waited for. */
function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

describe.each(SAMPLED_MAJORS)('stock PostgreSQL %d over missing blocks', (major) => {
  let original: StockPostgres;
  let pages: FilePageServer;
  let address: PageServerAddress;
  const cleanUp: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    original = StockPostgres.create({ major, settings: SETTINGS });
    cleanUp.push(() => original.remove());
    await original.start();
    await run(original, SNAPSHOT);
    await original.query(
      'create table in_template as select g as id from generate_series(1, 20000) g',
      'template_database',
    );
    await original.stop();
    const versionFolder = readdirSync(join(original.dataDirectory, 'pg_tblspc'), {
      recursive: true,
      encoding: 'utf8',
    }).find((name) => /^\d+\/PG_\d+_\d+$/.test(name));
    pages = new FilePageServer(original.dataDirectory, versionFolder?.split('/')[1] ?? '');
    cleanUp.push(() => pages.close());
    address = await pages.listen();
  });

  afterAll(async () => {
    for (const step of cleanUp.reverse()) await step();
  });

  /** A running server on an overlay of its own. */
  async function overlaid(
    settings: Readonly<Record<string, string>> = {},
    map: { requestDeadlineMs?: number } = {},
  ): Promise<{ server: StockPostgres; overlay: Overlay }> {
    const overlay = makeOverlay(original.dataDirectory, address, map, settings);
    const server = StockPostgres.create({ major, dataDirectory: overlay.dataDirectory, env: overlay.env });
    cleanUp.push(async () => {
      await server.stop();
      overlay.remove();
    });
    await server.start();
    return { server, overlay };
  }

  /** A running server on an ordinary copy. */
  async function reference(): Promise<StockPostgres> {
    const directory = temporaryDirectory('zenith-reference-');
    const dataDirectory = join(directory.path, 'data');
    cpSync(original.dataDirectory, dataDirectory, { recursive: true });
    chmodSync(dataDirectory, 0o700);
    chownTree(directory.path, unprivilegedUser());
    const server = StockPostgres.create({ major, dataDirectory });
    cleanUp.push(async () => {
      await server.stop();
      directory.remove();
    });
    await server.start();
    return server;
  }

  it('answers as on an ordinary copy: at first, after changes, after a restart, after a crash', async () => {
    const { server, overlay } = await overlaid();
    const ordinary = await reference();
    const expected = await ask(ordinary);
    expect(await ask(server)).toEqual(expected);
    const { counters } = readPresenceMap(overlay.mapPath);
    expect(counters.blocksInstalled).toBeGreaterThan(500);
    expect(counters.blocksFetched / counters.requests).toBeGreaterThan(4);
    expect(counters).toMatchObject({ failures: 0, reconnects: 0 });

    await run(ordinary, CHANGES);
    await run(server, CHANGES);
    const changed = await ask(ordinary);
    expect(changed).not.toEqual(expected);
    expect(await ask(server)).toEqual(changed);
    for (const database of ['copied', 'logged'])
      expect(await server.query('select count(*), sum(id) from in_template', database)).toEqual([
        { count: '20000', sum: '200010000' },
      ]);

    await server.stop();
    await server.start();
    expect(await ask(server)).toEqual(changed);

    await run(ordinary, [
      'update t set v = md5(v)',
      'drop table documents; create table documents (id int, body text)',
    ]);
    await run(server, ['update t set v = md5(v)', 'drop table documents; create table documents (id int, body text)']);
    await server.kill();
    await server.start();
    const afterCrash = await ask(ordinary);
    const unlogged = QUESTIONS.findIndex((question) => question.includes('from unlogged'));
    afterCrash[unlogged] = [{ count: '0', sum: null }]; // recovery empties unlogged tables
    expect(await ask(server)).toEqual(afterCrash);
  });

  it('recovers locally when backends are killed while they read and write', async () => {
    const { server } = await overlaid({ restart_after_crash: 'on' });
    const kinds = [
      'update t set v = md5(v) where id % 97 = 1',
      'select count(*), sum(hashtext(v)) from t',
      'select sum(hashtext(body)) from documents',
    ];
    for (let round = 0; round < 4; round++) {
      const clients = await Promise.all(kinds.map(() => server.connect()));
      const victim = Number(
        (await clients[round % kinds.length]?.query('select pg_backend_pid() as pid'))?.rows[0]?.pid,
      );
      const work = clients.map((client, i) => client.query(kinds[i] ?? '').catch(() => undefined));
      await new Promise((resolve) => setTimeout(resolve, 3 + round * 7));
      process.kill(victim, 'SIGKILL');
      await Promise.all(work);
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
      await until('the server accepts connections again', () =>
        server.query('select 1').then(
          () => true,
          () => false,
        ),
      );
    }
    const ordinary = await reference();
    const count = `select count(*), sum(id), sum(k) from t`;
    expect(await server.query(count)).toEqual(await ordinary.query(count));
    expect(await server.query('select sum(hashtext(body)) from documents')).toEqual(
      await ordinary.query('select sum(hashtext(body)) from documents'),
    );
  });

  it('reads whole files through stdio as they are', async () => {
    const { server } = await overlaid();
    const ordinary = await reference();
    const question = `select md5(pg_read_binary_file(pg_relation_filepath('t_pkey'))) as md5, pg_relation_size('t_pkey') as size`;
    expect(await server.query(question)).toEqual(await ordinary.query(question));
  });

  it('reports a page the pageserver cannot rebuild, and reads all others', async () => {
    const { server, overlay } = await overlaid();
    const { rel } = (await server.query(`select pg_relation_filenode('t') as rel`))[0] as { rel: number };
    pages.fail = (request) =>
      request.rel === rel && request.fork === 0 && request.block <= 100 && request.block + request.count > 100
        ? { status: PageStatus.pageNotRebuilt, message: 'gin records are not known yet' }
        : undefined;
    try {
      await expect(server.query('select count(v) from t')).rejects.toThrow(/could not read block.*Input\/output error/);
      expect(await server.query(`select count(v) from t where ctid >= '(120,0)' and ctid < '(121,0)'`)).toMatchObject([
        { count: expect.stringMatching(/^[1-9]/) },
      ]);
      const log = readFileSync(join(dirname(overlay.dataDirectory), 'postgres.log'), 'utf8');
      expect(log).toMatch(
        new RegExp(
          `zenith: cannot read block \\d+ of base/5/${rel} at LSN 0/1000028 from pageserver tcp:.*: gin records are not known yet`,
        ),
      );
    } finally {
      pages.fail = undefined;
    }
    expect(await server.query('select count(v) from t')).toEqual([{ count: '60000' }]);
  });

  it('waits for a pageserver that is away, lets go of a cancelled query, and fails after the deadline', async () => {
    // In 18's default the read waits in an I/O worker, which knows of no cancel; the backend that reads for itself does.
    const { server } = await overlaid(major === 18 ? { io_method: 'sync' } : {}, { requestDeadlineMs: 6000 });
    await server.query('select 1');
    pages.fail = () => ({ status: PageStatus.shuttingDown, message: 'restarting' });
    try {
      const waiting = server.query('select count(*) from in_elsewhere');
      setTimeout(() => (pages.fail = undefined), 1500);
      expect(await waiting).toEqual([{ count: '5000' }]);
      pages.fail = () => ({ status: PageStatus.shuttingDown, message: 'restarting' });
      const begun = performance.now();
      await expect(server.query(`set statement_timeout = 500; select count(*) from documents`)).rejects.toThrow(
        /Operation canceled|canceling statement/,
      );
      expect(performance.now() - begun).toBeLessThan(5000);
      await expect(server.query('select count(v) from t')).rejects.toThrow(/could not read block.*Input\/output error/);
    } finally {
      pages.fail = undefined;
    }
    expect(await server.query('select count(v) from t')).toEqual([{ count: '60000' }]);
  });

  it('leaves programs that the server starts alone', async () => {
    const { server } = await overlaid();
    await server.query(
      `create temp table output (line text); copy output from program 'cat /proc/self/comm; echo $LD_PRELOAD | wc -l'`,
    );
    expect(
      await server.query(
        `create temp table output (line text); copy output from program 'cat base/5/PG_VERSION'; select line from output`,
      ),
    ).toEqual([{ line: String(major) }]);
  });

  it('ends with its supervisor', async () => {
    const overlay = makeOverlay(original.dataDirectory, address);
    cleanUp.push(() => overlay.remove());
    const port = await freePort();
    const script = `
      const { spawn } = require('node:child_process');
      const env = { ...${JSON.stringify(overlay.env)}, PATH: process.env.PATH, ZENITH_SUPERVISOR_PID: String(process.pid) };
      const server = spawn(${JSON.stringify(join(original.installation, 'bin', 'postgres'))}, ['-D', ${JSON.stringify(overlay.dataDirectory)}, '-p', '${port}'],
        { ...${JSON.stringify(unprivilegedUser())}, cwd: '/', env, stdio: 'ignore' });
      console.log(server.pid);`;
    const supervisor = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) =>
      supervisor.stdout.once('data', (line: Buffer) => resolve(Number(line))),
    );
    const pidFile = join(overlay.dataDirectory, 'postmaster.pid');
    await until(
      'the server is ready',
      async () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').includes('ready'),
    );
    expect(isRunning(pid)).toBe(true);
    supervisor.kill('SIGKILL');
    await until('the server is gone', async () => !isRunning(pid));
  });

  it.runIf(major === 18)('reads and clones files in every way 18 can', async () => {
    const ordinary = await reference();
    const expected = await ask(ordinary);
    const { server } = await overlaid({ io_method: 'sync', file_copy_method: 'clone' });
    expect(await ask(server)).toEqual(expected);
    await server.query('create database cloned template template_database strategy file_copy');
    expect(await server.query('select count(*), sum(id) from in_template', 'cloned')).toEqual([
      { count: '20000', sum: '200010000' },
    ]);
  });
});
