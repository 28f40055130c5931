import { parseLsn } from '@zenith/base';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ComputeCluster, ComputeOrigin } from './compute-cluster.test-support.ts';

async function occupyPort(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Nothing here depends on PostgreSQL's version. */
describe('a compute when things fail', () => {
  let origin: ComputeOrigin;
  const clusters: ComputeCluster[] = [];
  beforeAll(async () => {
    origin = await ComputeOrigin.create(18);
  });
  afterEach(async () => {
    for (const cluster of clusters.splice(0)) await cluster.remove();
  });
  afterAll(() => origin.remove());

  async function clusterOf(
    safekeepers: number,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<ComputeCluster> {
    const cluster = await ComputeCluster.create(origin, safekeepers, settings);
    clusters.push(cluster);
    return cluster;
  }

  it('commits while one of three safekeepers is away, and catches it up from pg_wal', async () => {
    const cluster = await clusterOf(3);
    await cluster.compute.start();
    await cluster.killSafekeeper(0);
    // More than the proposer keeps in memory, so that the way back leads over files.
    for (let i = 0; i < 6; i++)
      await cluster.query(
        `insert into t select g, repeat(md5(g::text), 10) from generate_series(${10_000 + i * 10_000}, ${19_999 + i * 10_000}) g`,
      );
    await cluster.safekeepers[0]?.start();
    await expect
      .poll(async () => (await cluster.safekeeperStatus(0)).flushLsn === (await cluster.safekeeperStatus(1)).flushLsn, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe(true);
    const flushed = parseLsn((await cluster.safekeeperStatus(0)).flushLsn);
    expect(flushed - origin.snapshot.manifest.lsn).toBeGreaterThan(20 * 1024 * 1024);
    expect(await cluster.compute.stop()).toBe(0);
  });

  it('catches a safekeeper up with WAL that PostgreSQL has removed, from another safekeeper', async () => {
    const cluster = await clusterOf(3, { wal_keep_size: '0', max_wal_size: '32MB', min_wal_size: '32MB' });
    await cluster.compute.start();
    await cluster.killSafekeeper(2);
    for (let i = 0; i < 6; i++) {
      await cluster.query(
        `insert into t select g, repeat(md5(g::text), 10) from generate_series(${10_000 + i * 20_000}, ${29_999 + i * 20_000}) g`,
      );
      await cluster.query('checkpoint');
    }
    const [oldest] = await cluster.query('select min(name) as name from pg_ls_waldir()');
    expect(String(oldest?.['name']) > '000000010000000000000001').toBe(true);
    await cluster.safekeepers[2]?.start();
    await expect
      .poll(async () => (await cluster.safekeeperStatus(2)).flushLsn === (await cluster.safekeeperStatus(1)).flushLsn, {
        timeout: 30_000,
        interval: 200,
      })
      .toBe(true);
    expect(await cluster.compute.stop()).toBe(0);
  });

  it('keeps WAL that the quorum lacks, however much PostgreSQL writes meanwhile', async () => {
    const cluster = await clusterOf(1, {
      wal_keep_size: '0',
      max_wal_size: '32MB',
      min_wal_size: '32MB',
      synchronous_commit: 'off',
    });
    await cluster.compute.start();
    await cluster.killSafekeeper(0);
    for (let i = 0; i < 6; i++) {
      await cluster.query(
        `insert into t select g, repeat(md5(g::text), 10) from generate_series(${10_000 + i * 20_000}, ${29_999 + i * 20_000}) g`,
      );
      await cluster.query('checkpoint');
    }
    const [oldest] = await cluster.query('select min(name) as name, count(*)::int as n from pg_ls_waldir()');
    expect(oldest).toMatchObject({ name: '000000010000000000000001' });
    expect(oldest?.['n']).toBeGreaterThan(3);
    await cluster.safekeepers[0]?.start();
    await cluster.query("set synchronous_commit = on; insert into t values (-5, 'waits for all of it')");
    const status = await cluster.status();
    expect(status['commitLsn']).toBe(status['receivedLsn']);
    expect(parseLsn(String(status['commitLsn'])) - origin.snapshot.manifest.lsn).toBeGreaterThan(50 * 1024 * 1024);
    expect(await cluster.compute.stop()).toBe(0);
  });

  it('lets commits wait while there is no quorum, and goes on when it is back', async () => {
    const cluster = await clusterOf(3);
    await cluster.compute.start();
    for (const index of [0, 1]) await cluster.killSafekeeper(index);
    let done = false;
    const insert = cluster.query("insert into t values (7000, 'waits')").then(() => (done = true));
    expect(await cluster.query('select count(*)::int as n from t where id <= 1000')).toEqual([{ n: 1000 }]);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(done).toBe(false);
    await cluster.safekeepers[1]?.start();
    await insert;
    expect(done).toBe(true);
  });

  it.each(['pg_cancel_backend', 'pg_terminate_backend'])(
    'goes on when the stream of its WAL ends with an error (%s)',
    async (end) => {
      const cluster = await clusterOf(1);
      await cluster.compute.start();
      for (let round = 0; round < 3; round++) {
        const [walSender] = await cluster.query(`select pid, ${end}(pid) as told from pg_stat_replication`);
        expect(walSender).toMatchObject({ told: true });
        await expect
          .poll(() => cluster.query('select pid from pg_stat_replication'), { timeout: 30_000, interval: 20 })
          .not.toContainEqual({ pid: walSender?.['pid'] });
        await cluster.query(`insert into t values (${8000 + round}, 'is committed')`);
      }
      expect(await cluster.compute.stop()).toBe(0);
    },
  );

  it('does not leave PostgreSQL behind when the supervisor is killed', async () => {
    const cluster = await clusterOf(1);
    await cluster.compute.start();
    const pid = cluster.postgresPid;
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    cluster.compute.kill('SIGKILL');
    await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 10_000, interval: 50 }).toBe(false);
  });

  it('is fenced by a later proposer, and stops PostgreSQL at once', async () => {
    const cluster = await clusterOf(3);
    await cluster.compute.start();
    const pid = cluster.postgresPid;
    const { term } = await cluster.sync();
    expect(term).toBe(2);
    expect(await cluster.compute.exited).toBe(3);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(cluster.compute.log).toContain('another compute took over this branch in term 2');
  });

  it('gives up when no quorum answers in time, and says who did not', async () => {
    const cluster = await clusterOf(1);
    await cluster.killSafekeeper(0);
    cluster.compute.configure('compute.json', { ...cluster.input, timeouts: { electionMs: 500 } });
    const refused = await cluster.compute.start();
    expect(refused.error).toMatch(/no quorum of the 1 safekeeper agreed within 500 ms: safekeeper 1 offline/);
    expect(await cluster.compute.exited).toBe(1);
  });

  it('can be told to stop while it waits for a quorum', async () => {
    const cluster = await clusterOf(1);
    await cluster.killSafekeeper(0);
    const starting = cluster.compute.start();
    await expect
      .poll(() => cluster.status().catch(() => undefined), { timeout: 10_000 })
      .toMatchObject({ state: 'starting' });
    cluster.compute.kill('SIGTERM');
    expect(await starting).toMatchObject({ ready: false, error: 'the compute was stopped while it was starting' });
    expect(await cluster.compute.exited).toBe(1);
    expect(existsSync(cluster.pgdata)).toBe(false);
  });

  it('names a taken port before it does anything', async () => {
    const cluster = await clusterOf(1);
    const { server, port } = await occupyPort();
    cluster.compute.configure('compute.json', { ...cluster.input, postgres: { ...cluster.input.postgres, port } });
    const refused = await cluster.compute.start();
    server.close();
    expect(refused.error).toBe(
      `port ${port} of 127.0.0.1 is taken by another program: stop it, or choose another port`,
    );
  });

  it('says in one line why it cannot start', async () => {
    const cluster = await clusterOf(1);
    cluster.compute.configure('compute.json', { nonsense: true });
    const refused = await cluster.compute.start();
    expect(refused.ready).toBe(false);
    expect(refused.error).toMatch(/compute\.json' is not valid/);
    expect(await cluster.compute.exited).toBe(1);
  });
});
