import { parseLsn } from '@zenith/base';
import { expect } from 'vitest';
import type { TcpProxy } from '../chaos/tcp-proxy.ts';
import { flushBranch, pageserverTimeline, uploadBranch } from './pageserver-timeline.ts';
import type { Zenith } from './zenith.ts';

/** Longest pause between two attempts of an upload, and an attempt. Unit: ms. */
const RESUME_MAX_MS = 90_000;

async function failures(zenith: Zenith): Promise<number> {
  const { pageserverHttpPort } = await zenith.branch('main');
  const metrics = await (await fetch(`http://127.0.0.1:${pageserverHttpPort}/metrics`)).text();
  return Number(/^zenith_pageserver_remote_failures_total (\d+)/m.exec(metrics)?.[1]);
}

async function sumsOf(zenith: Zenith, branch: string): Promise<object[]> {
  return zenith.query(branch, 'select count(*)::int as count, sum(hashtext(text))::text as sum from t');
}

async function expected(zenith: Zenith, rows: number): Promise<object[]> {
  const sums = 'select count(*)::int as count, sum(hashtext(md5(i::text)))::text as sum';
  return zenith.query('main', `${sums} from generate_series(1, ${rows}) i`);
}

/** Takes remote storage away from a repository that reaches it through `link`: what is local goes on, and all of it is there in the end. */
export async function survivesOutage(zenith: Zenith, link: TcpProxy): Promise<void> {
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t as select i as id, md5(i::text) as text from generate_series(1, 20000) i');
  const before = await uploadBranch(zenith, 'main');
  const insert = (from: number, to: number): Promise<object[]> =>
    zenith.query('main', `insert into t select i, md5(i::text) from generate_series(${from}, ${to}) i`);
  link.state = 'cut';
  await insert(20_001, 40_000);
  expect(await flushBranch(zenith, 'main')).toBeGreaterThan(before);
  await expectLocalService(zenith, 'silent', 40_000);
  link.state = 'refused';
  await insert(40_001, 60_000);
  await flushBranch(zenith, 'main');
  // Attempts, each with retries of its own, and the pauses between them.
  await expect.poll(() => failures(zenith), { timeout: RESUME_MAX_MS }).toBeGreaterThanOrEqual(3);
  expect(await pageserverTimeline(zenith, 'main')).toMatchObject({ uploads: 'retrying' });
  expect(parseLsn((await pageserverTimeline(zenith, 'main')).remoteConsistentLsn)).toBe(before);
  await expectLocalService(zenith, 'refused', 60_000);
  await zenith.run('restart');
  await insert(60_001, 70_000);
  const durable = await flushBranch(zenith, 'main');
  await expectLocalService(zenith, 'restarted', 70_000);
  link.state = 'open';
  for (const branch of ['main', 'silent', 'refused', 'restarted'])
    await expect
      .poll(async () => (await pageserverTimeline(zenith, branch)).uploads, { timeout: RESUME_MAX_MS })
      .toBe('idle');
  const after = await pageserverTimeline(zenith, 'main');
  expect(parseLsn(after.remoteConsistentLsn)).toBeGreaterThanOrEqual(durable);
  expect(after.uploadError).toBeNull();
  expect(await zenith.json('scrub')).toMatchObject({ missing: [], corrupt: [], foreign: [] });
}

/** A branch can be made, and a compute that has nothing reads all of it. */
async function expectLocalService(zenith: Zenith, branch: string, rows: number): Promise<void> {
  await zenith.run('branch', branch, 'main');
  await zenith.startPostgres(branch);
  expect(await sumsOf(zenith, branch)).toEqual(await expected(zenith, rows));
  await zenith.run('pg', 'stop', branch, '--destroy');
}
