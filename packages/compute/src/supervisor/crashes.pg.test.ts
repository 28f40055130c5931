import { parseLsn } from '@zenith/base';
import { readFileSync, readlinkSync } from 'node:fs';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { postgresProcessesBelow } from '../postgres/leftovers.ts';
import { ComputeCluster, ComputeOrigin } from './compute-cluster.test-support.ts';
import { RESTARTS_MAX } from './restart-policy.ts';

const CLIENTS = 4;

const LOAD_TIMEOUT_MS = 40_000;

/** Small buffers, so that backends write pages themselves and a kill has something to tear. */
const SMALL = { shared_buffers: '1MB', max_wal_size: '64MB', checkpoint_timeout: '30s' };

/** Inserts and updates from several clients at once, across whatever happens to the server; knows which inserts were acknowledged. */
class WriteLoad {
  readonly acknowledged = new Set<number>();
  readonly #cluster: ComputeCluster;
  #next = 100_000;
  #running = true;
  readonly #done: Promise<unknown>;

  constructor(cluster: ComputeCluster) {
    this.#cluster = cluster;
    this.#done = Promise.all(Array.from({ length: CLIENTS }, () => this.#work()));
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  /** Resolves when so many more inserts were acknowledged. */
  async more(count: number): Promise<void> {
    const target = this.acknowledged.size + count;
    const deadline = performance.now() + LOAD_TIMEOUT_MS;
    while (this.acknowledged.size < target) {
      if (performance.now() > deadline) throw new Error(`${this.acknowledged.size} of ${target} inserts in time`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #work(): Promise<void> {
    let client: Client | undefined;
    while (this.#running) {
      try {
        client ??= await this.#cluster.connect();
        const id = this.#next++;
        await client.query(
          `insert into t values (${id}, repeat(md5('${id}'), 20)); update t set v = v where id = ${1 + (id % 1000)}`,
        );
        this.acknowledged.add(id);
      } catch {
        void client?.end().catch(() => undefined); // it is broken already
        client = undefined;
        await new Promise((resolve) => setTimeout(resolve, 20)); // the server is away: nothing tells when it is back
      }
    }
    await client?.end();
  }
}

/** How a crash is made, and what the supervisor says of it. */
const victims: [string, (cluster: ComputeCluster) => Promise<number>, RegExp][] = [
  [
    'a backend',
    (cluster) => processOf(cluster, "backend_type = 'client backend' and pid <> pg_backend_pid()"),
    /client backend|server process/,
  ],
  ['the checkpointer', (cluster) => processOf(cluster, "backend_type = 'checkpointer'"), /checkpointer process/],
  ['the postmaster', (cluster) => Promise.resolve(cluster.postgresPid), /the postmaster ended with signal SIGKILL/],
];

async function processOf(cluster: ComputeCluster, condition: string): Promise<number> {
  const [row] = await cluster.query(`select pid from pg_stat_activity where ${condition} limit 1`);
  return Number(row?.['pid']);
}

async function untilRunning(cluster: ComputeCluster, restarts: number): Promise<Record<string, unknown>> {
  await expect
    .poll(() => cluster.status(), { timeout: 40_000, interval: 50 })
    .toMatchObject({ state: 'running', restarts });
  return cluster.status();
}

/** Every acknowledged row is there, and heap and index tell the same. */
async function audit(cluster: ComputeCluster, load: WriteLoad): Promise<void> {
  const client = await cluster.connect();
  try {
    const rows = await client.query<{ id: number }>('select id from t');
    const present = new Set(rows.rows.map(({ id }) => id));
    expect([...load.acknowledged].filter((id) => !present.has(id))).toEqual([]);
    const count = async (off: string): Promise<unknown> => {
      await client.query(
        `set enable_indexscan = on; set enable_indexonlyscan = on; set enable_seqscan = on; set enable_bitmapscan = off; ${off}`,
      );
      return (
        await client.query('select count(*)::int as n, sum(id)::bigint as s, count(v)::int as v from t where id > -1')
      ).rows;
    };
    expect(await count('set enable_seqscan = off')).toEqual(
      await count('set enable_indexscan = off; set enable_indexonlyscan = off'),
    );
    await client.query('create extension if not exists amcheck');
    await client.query("select bt_index_check('t_pkey', true)");
    expect((await client.query("select * from verify_heapam('t')")).rows).toEqual([]);
  } finally {
    await client.end();
  }
}

describe('a compute whose PostgreSQL crashes', () => {
  let origin: ComputeOrigin;
  const clusters: ComputeCluster[] = [];
  beforeAll(async () => {
    origin = await ComputeOrigin.create(18);
  });
  afterEach(async () => {
    for (const cluster of clusters.splice(0)) await cluster.remove();
  });
  afterAll(() => origin.remove());

  async function started(pageserver: 'of-origin' | 'real' = 'real'): Promise<ComputeCluster> {
    const cluster = await ComputeCluster.create(origin, 1, SMALL, pageserver);
    clusters.push(cluster);
    expect(await cluster.compute.start()).toMatchObject({ ready: true });
    return cluster;
  }

  it.each(victims)(
    'is built anew when SIGKILL meets %s under load: nothing acknowledged is lost',
    async (_, victim, reason) => {
      const cluster = await started();
      const supervisor = cluster.compute.pid;
      const load = new WriteLoad(cluster);
      await load.more(200);
      const before = await cluster.status();
      const old = postgresProcessesBelow(cluster.compute.dataDir);
      expect(old.length).toBeGreaterThan(4);
      process.kill(await victim(cluster), 'SIGKILL');
      const after = await untilRunning(cluster, 1);
      for (const pid of old) expect(isPostgres(pid), `process ${pid}`).toBe(false);
      await load.more(50);
      await load.stop();
      expect(after['term']).toBe(Number(before['term']) + 1);
      expect(after['postgresPort']).toBe(before['postgresPort']);
      expect(cluster.compute.pid).toBe(supervisor);
      expect(parseLsn(String(after['startLsn']))).toBeGreaterThan(parseLsn(String(before['commitLsn'])) - 1);
      await audit(cluster, load);
      expect(await cluster.compute.stop()).toBe(0);
      const warning =
        cluster.compute.log.split('\n').find((line) => line.includes('the compute is built anew')) ?? '{}';
      expect(JSON.parse(warning)).toMatchObject({ level: 40, restarts: 1 });
      expect(warning).toMatch(reason);
      const running = cluster.compute.log.split('\n').filter((line) => line.includes('compute is running'));
      console.log(running.at(-1));
    },
  );

  it('keeps what ALTER SYSTEM has set, and forgets it at the next start', async () => {
    const cluster = await started();
    await cluster.query("alter system set work_mem = '7MB'");
    process.kill(cluster.postgresPid, 'SIGKILL');
    await untilRunning(cluster, 1);
    expect(await cluster.query('show work_mem')).toEqual([{ work_mem: '7MB' }]);
    process.kill(await processOf(cluster, "backend_type = 'walwriter'"), 'SIGKILL');
    await untilRunning(cluster, 2);
    expect(await cluster.query('show work_mem')).toEqual([{ work_mem: '7MB' }]);
    expect(await cluster.compute.stop()).toBe(0);
    await cluster.compute.start();
    expect(await cluster.query('show work_mem')).toEqual([{ work_mem: '4MB' }]);
  });

  it('is given up after so many crashes in a row', async () => {
    const cluster = await started();
    for (let crash = 1; crash <= RESTARTS_MAX; crash++) {
      process.kill(cluster.postgresPid, 'SIGKILL');
      await untilRunning(cluster, crash);
    }
    expect(await cluster.query('select count(*)::int as n from t')).toEqual([{ n: 1000 }]);
    const metrics = await (await fetch(`http://127.0.0.1:${cluster.config.http.port}/metrics`)).text();
    expect(metrics).toContain(`zenith_compute_restarts_total ${RESTARTS_MAX}\n`);
    process.kill(cluster.postgresPid, 'SIGKILL');
    expect(await cluster.compute.exited).toBe(1);
    const errors = cluster.compute.log.split('\n').filter((line) => line.includes('"level":50'));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(
      /PostgreSQL was restarted 5 times in a row and is given up: the postmaster ended with signal SIGKILL; see postgres\.log/,
    );
    expect(postgresProcessesBelow(cluster.compute.dataDir)).toEqual([]);
  });

  it('fails, and does not try again, when PostgreSQL does not start with the settings it has been given', async () => {
    const cluster = await started();
    await cluster.query("alter system set shared_preload_libraries = 'no_such_library'");
    process.kill(cluster.postgresPid, 'SIGKILL');
    expect(await cluster.compute.exited).toBe(1);
    expect(cluster.compute.log).toMatch(/exit code 1 before it was ready: .*no_such_library/);
    expect(cluster.compute.log.match(/the compute is built anew|one more attempt/g)).toHaveLength(1);
  });

  it('tries again for as long as the safekeepers are away, and tells what it has committed meanwhile', async () => {
    const cluster = await started();
    await cluster.compute.stop();
    cluster.compute.configure('compute.json', { ...cluster.input, timeouts: { electionMs: 300, stopMs: 10_000 } });
    await cluster.compute.start();
    await cluster.query("insert into t values (7000, 'kept')");
    const { commitLsn } = await cluster.status();
    await cluster.killSafekeeper(0);
    process.kill(cluster.postgresPid, 'SIGKILL');
    await expect
      .poll(() => cluster.status(), { timeout: 10_000, interval: 20 })
      .toMatchObject({ state: 'restarting', restarts: 2, commitLsn, postgresPid: null });
    // More often than a PostgreSQL may crash.
    await expect
      .poll(async () => Number((await cluster.status())['restarts']), { timeout: 60_000, interval: 50 })
      .toBeGreaterThan(RESTARTS_MAX + 1);
    expect((await fetch(`http://127.0.0.1:${cluster.config.http.port}/healthz`)).status).toBe(503);
    await cluster.safekeepers[0]?.start();
    await expect.poll(() => cluster.status(), { timeout: 20_000, interval: 50 }).toMatchObject({ state: 'running' });
    expect(await cluster.query('select v from t where id = 7000')).toEqual([{ v: 'kept' }]);
    expect(await cluster.compute.stop()).toBe(0);
  });

  it('can be stopped while it restarts', async () => {
    const cluster = await started();
    await cluster.killSafekeeper(0);
    process.kill(cluster.postgresPid, 'SIGKILL');
    await expect.poll(() => cluster.status(), { timeout: 10_000, interval: 20 }).toMatchObject({ state: 'restarting' });
    expect(await cluster.compute.stop()).toBe(0);
    expect(cluster.compute.log).toContain('stopped while it was restarting');
    expect(postgresProcessesBelow(cluster.compute.dataDir)).toEqual([]);
  });

  it('asks for no vote when a term higher than its own was seen, and for the next one else', async () => {
    const cluster = await ComputeCluster.create(origin, 3);
    clusters.push(cluster);
    const first = await cluster.sync();
    const second = await cluster.sync();
    expect(second.term).toBe(first.term + 1);
    await expect(cluster.sync(first.term)).rejects.toMatchObject({ code: 'fenced' });
    // A majority has voted for the second. The third may have been asked by nobody; nobody has been asked for more.
    const terms = await Promise.all([0, 1, 2].map(async (index) => (await cluster.safekeeperStatus(index)).term));
    expect(Math.max(...terms)).toBe(second.term);
    expect(terms.filter((term) => term === second.term).length).toBeGreaterThanOrEqual(2);
    expect((await cluster.sync(second.term)).term).toBe(second.term + 1);
  });

  it('is fenced, and does not restart, when a later compute took over meanwhile', async () => {
    const cluster = await started();
    // What happens while it sleeps it learns all at once: that it was fenced, and that its PostgreSQL is gone.
    process.kill(cluster.compute.pid, 'SIGSTOP');
    const { term } = await cluster.sync();
    process.kill(cluster.postgresPid, 'SIGKILL');
    process.kill(cluster.compute.pid, 'SIGCONT');
    expect(await cluster.compute.exited).toBe(3);
    expect(cluster.compute.log).toContain(`another compute took over this branch in term ${term}`);
    expect((await cluster.safekeeperStatus(0)).term).toBe(term); // it has not fenced the later one in turn
    expect(postgresProcessesBelow(cluster.compute.dataDir)).toEqual([]);
  });

  it.each(['SIGINT', 'SIGQUIT'] as const)(
    'is not started again when somebody shuts the postmaster down by %s',
    async (signal) => {
      const cluster = await started('of-origin');
      await cluster.query("insert into t values (8000, 'kept')");
      const committed = parseLsn(String((await cluster.status())['commitLsn']));
      process.kill(cluster.postgresPid, signal);
      expect(await cluster.compute.exited).toBe(0);
      expect(cluster.compute.log).toContain('PostgreSQL was shut down by somebody else than its supervisor');
      expect((await cluster.sync()).startLsn).toBeGreaterThanOrEqual(committed);
    },
  );
});

/** Process ids are used again: only a process that works in a compute's folder counts. */
function isPostgres(pid: number): boolean {
  try {
    return (
      /\/pgdata/.test(readlinkSync(`/proc/${pid}/cwd`)) &&
      readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('postgres')
    );
  } catch {
    return false;
  }
}
