import { NO_TOKENS } from '@zenith/auth';
import { parseLsn, type Lsn } from '@zenith/base';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, expect, it } from 'vitest';
import { Oracle } from '../verify/oracle.test-support.ts';
import { ingestMetrics } from './metrics.ts';
import { TimelineFollower } from './timeline-follower.ts';

let oracle: Oracle | undefined;
let follower: TimelineFollower | undefined;
afterEach(async () => {
  await follower?.stop();
  await oracle?.remove();
  follower = undefined;
  oracle = undefined;
});

const context = {
  tokens: NO_TOKENS,
  log: pino({ level: 'silent' }),
  metrics: ingestMetrics(new Registry(), () => []),
  now: () => performance.now(),
  wallClock: Date.now,
};

async function flushedLsn(from: Oracle): Promise<Lsn> {
  return parseLsn(
    ((await from.server.query('select pg_current_wal_flush_lsn()::text as lsn'))[0] as { lsn: string }).lsn,
  );
}

it('follows a stock server over physical replication, tells it how far it is, and comes back after the server was away', async () => {
  oracle = await Oracle.start(18, { wal_sender_timeout: '60s' });
  const { server, timeline } = oracle;
  follower = new TimelineFollower(timeline, context);
  const source = { id: 1, host: '127.0.0.1', port: server.port, httpPort: 0 };
  await server.query(
    'create role pageserver login replication; create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 20000) g',
  );
  follower.offer(source, await flushedLsn(oracle));
  await timeline.waitForLsn(await flushedLsn(oracle), { timeoutMs: 30_000 });
  expect(follower.state).toBe('following');

  await timeline.flush();
  await expect
    .poll(
      async () => {
        const [row] = await server.query(
          "select write_lsn >= flush_lsn as sane, flush_lsn::text as flushed from pg_stat_replication where application_name = 'pageserver'",
        );
        return row?.['sane'] === true && parseLsn(row['flushed'] as string) >= timeline.initialLsn;
      },
      { timeout: 10_000 },
    )
    .toBe(true);

  await server.kill();
  await server.start();
  await server.query('update t set v = md5(v)');
  follower.offer({ ...source, id: 2, port: server.port }, await flushedLsn(oracle));
  await timeline.waitForLsn(await flushedLsn(oracle), { timeoutMs: 30_000 });
  await follower.stop();
  expect(follower.state).toBe('stopped');
  const { differences } = await oracle.stopAndCompare();
  expect(differences).toEqual([]);
});

it('gives up a source that has other WAL than the timeline, and takes another one', async () => {
  oracle = await Oracle.start(18);
  const stranger = await Oracle.start(18);
  try {
    follower = new TimelineFollower(oracle.timeline, context);
    await oracle.server.query(
      'create role pageserver login replication; create table t as select g from generate_series(1, 20000) g',
    );
    const goal = await flushedLsn(oracle);
    await stranger.server.query(
      'create role pageserver login replication; create table u as select g from generate_series(1, 100000) g',
    );
    follower.offer({ id: 1, host: '127.0.0.1', port: stranger.server.port, httpPort: 0 }, (goal + 1_000_000) as Lsn);
    follower.offer({ id: 2, host: '127.0.0.1', port: oracle.server.port, httpPort: 0 }, goal);
    await oracle.timeline.waitForLsn(goal, { timeoutMs: 30_000 });
    expect(follower.state).toBe('following');
  } finally {
    await stranger.remove();
  }
});
