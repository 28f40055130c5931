import { formatLsn, parseLsn } from '@zenith/base';
import { decodeControlFile } from '@zenith/pg-format';
import { SAMPLED_MAJORS } from '@zenith/testing';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ComputeCluster, ComputeOrigin, SEGMENT_SIZE, SILENT } from './compute-cluster.test-support.ts';
import { findWalTail } from './find-wal-tail.ts';

describe.each(SAMPLED_MAJORS)('a compute of PostgreSQL %d', (major) => {
  let origin: ComputeOrigin;
  const clusters: ComputeCluster[] = [];
  beforeAll(async () => {
    origin = await ComputeOrigin.create(major);
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

  it('starts, writes, stops cleanly, and leaves its shutdown checkpoint committed on the quorum', async () => {
    const cluster = await clusterOf(3);
    const ready = await cluster.compute.start();
    expect(ready).toMatchObject({ ready: true, postgresPort: cluster.config.postgres.port });
    expect(await cluster.query('select count(*)::int as n from t')).toEqual([{ n: 1000 }]);
    await cluster.query("insert into t values (5000, 'new')");
    const [settings] = await cluster.query(
      "select current_setting('fsync') as fsync, current_setting('full_page_writes') as fpw, current_setting('synchronous_standby_names') as names",
    );
    expect(settings).toEqual({ fsync: 'off', fpw: 'off', names: 'zenith_wal_proposer' });
    expect(await cluster.query('select application_name, sync_state from pg_stat_replication')).toEqual([
      { application_name: 'zenith_wal_proposer', sync_state: 'sync' },
    ]);
    const status = await cluster.status();
    expect(status).toMatchObject({ state: 'running', startLsn: formatLsn(origin.snapshot.manifest.lsn), term: 1 });
    expect(parseLsn(String(status['commitLsn']))).toBeGreaterThan(origin.snapshot.manifest.lsn);

    expect(await cluster.compute.stop()).toBe(0);
    expect(cluster.compute.log).toContain('stopped cleanly');
    expect(readFileSync(join(cluster.compute.dataDir, 'supervisor.pid'), 'utf8').trim()).toBe('');
    const control = decodeControlFile(readFileSync(join(cluster.pgdata, 'global/pg_control')));
    const { startLsn, term, donor } = await cluster.sync();
    expect(term).toBe(2);
    for (const index of [0, 1, 2]) expect(parseLsn((await cluster.safekeeperStatus(index)).commitLsn)).toBe(startLsn);
    // The next start continues behind the shutdown checkpoint, and finds it as the record before.
    const tail = await findWalTail({
      config: cluster.config,
      segmentSize: SEGMENT_SIZE,
      startLsn,
      donor,
      term,
      log: SILENT,
    });
    expect(tail?.previousRecordLsn).toBe(control.checkPoint);
    expect(tail?.pagePrefix).toHaveLength(startLsn % 8192);
    console.log(cluster.compute.log.split('\n').find((line) => line.includes('compute is running')));
  });
});
