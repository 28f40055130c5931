import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn, type Lsn } from '@zenith/base';
import { expect } from 'vitest';
import type { RemoteStorage } from '@zenith/remote-storage';
import { scrub, type ScrubReport } from '../../packages/pageserver/src/remote/scrub.ts';
import type { TcpProxy } from '../chaos/tcp-proxy.ts';
import { pageserverMetric } from './pageserver-metric.ts';
import { flushBranch, pageserverTimeline, settleBranch, uploadBranch } from './pageserver-timeline.ts';
import type { Zenith } from './zenith.ts';

/** Longest pause between two attempts of an upload, and an attempt. Unit: ms. */
const RESUME_MAX_MS = 90_000;
/** How long remote storage refuses at least: as short as the attempts take by default, `ZENITH_OUTAGE_SECONDS=300` for the long form. */
const OUTAGE_MS = Number(process.env['ZENITH_OUTAGE_SECONDS'] ?? 0) * 1000;
const ROWS_A_COMMIT = 500;
/** Where uploads are cut: which object's put, and after how much of it. Both of a layer and of an index: before the first byte, somewhere in the middle, before the last, and when only the answer is left. */
const CUTS = [
  ['layers', () => 0],
  ['layers', () => 1],
  ['layers', (bytes: number) => bytes >> 1],
  ['layers', (bytes: number) => bytes - 1],
  ['layers', 'answered'],
  ['indexes', (bytes: number) => bytes >> 1],
  ['indexes', 'answered'],
] as const;

async function sumsOf(zenith: Zenith, branch: string): Promise<object[]> {
  return zenith.query(branch, 'select count(*)::int as count, sum(hashtext(text))::text as sum from t');
}

async function expected(zenith: Zenith, rows: number): Promise<object[]> {
  const sums = 'select count(*)::int as count, sum(hashtext(md5(i::text)))::text as sum';
  return zenith.query('main', `${sums} from generate_series(1, ${rows}) i`);
}

/** Commits and reads until `end`, a time of performance.now(). @returns how many rows there are then */
async function workUntil(zenith: Zenith, rows: number, end: number): Promise<number> {
  let now = rows;
  while (performance.now() < end) {
    await insertRows(zenith, now + 1, now + ROWS_A_COMMIT);
    now += ROWS_A_COMMIT;
    expect(await zenith.query('main', `select text from t where id = ${now - ROWS_A_COMMIT}`)).toHaveLength(1);
  }
  return now;
}

async function insertRows(zenith: Zenith, from: number, to: number): Promise<void> {
  await zenith.query('main', `insert into t select i, md5(i::text) from generate_series(${from}, ${to}) i`);
}

/** Has the link break in the next put of a layer or of an index. Resolves with the object's key, and its length. */
async function cutInPut(
  link: TcpProxy,
  kind: 'layers' | 'indexes',
  after: ((bodyBytes: number) => number) | 'answered',
): Promise<{ readonly key: string; readonly length: number }> {
  const { path, bodyBytes } = await link.refuseIn({
    isMeant: (request) => request.method === 'PUT' && request.path.includes(`/${kind}/`),
    after,
  });
  const [, key = ''] = /(\w+\/\w+\/\w+\/[^/?]*)(?:\?|$)/.exec(decodeURIComponent(path)) ?? [];
  expect(key.startsWith(`${kind}/`)).toBe(true);
  return { key, length: bodyBytes };
}

/** Every object that the newest index names is there and right, whatever else is. */
async function soundScrub(storage: RemoteStorage): Promise<ScrubReport> {
  const report = await scrub(storage, { readLayers: true, deleteOrphans: false });
  expect(report).toMatchObject({ timelines: 1, missing: [], corrupt: [], foreign: [] });
  return report;
}

/**
 * Cuts the link to remote storage in the middle of the put of a layer and of an index, several times at other places: no index names what is not whole, the uploads are done when the link is back and leave nothing that
 * no index names, and a pageserver that loses its disk then, or in the midst of it, has everything.
 * @param storage the same, reached without the link
 */
export async function survivesCut(zenith: Zenith, link: TcpProxy, storage: RemoteStorage): Promise<void> {
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t (id int, text text)');
  await settleBranch(zenith, 'main');
  let rows = 0;
  const writeUntilCut = async (...[kind, after]: (typeof CUTS)[number]): Promise<string> => {
    const cut = cutInPut(link, kind, after);
    const before = parseLsn((await pageserverTimeline(zenith, 'main')).remoteConsistentLsn);
    await insertRows(zenith, rows + 1, (rows += 10_000));
    await flushBranch(zenith, 'main');
    const { key, length } = await cut;
    expect(parseLsn((await pageserverTimeline(zenith, 'main')).remoteConsistentLsn)).toBe(before);
    expect(await storage.head(key)).toEqual(after === 'answered' ? { key, length } : undefined);
    await soundScrub(storage);
    return key;
  };
  for (const cut of CUTS) {
    await writeUntilCut(...cut);
    link.state = 'open';
    await settleBranch(zenith, 'main');
    expect((await soundScrub(storage)).orphans).toEqual([]);
  }
  const left = await writeUntilCut('layers', 'answered');
  await zenith.kill('pageserver');
  await zenith.run('pg', 'stop', 'main', '--destroy');
  rmSync(join(zenith.repository, 'pageserver'), { recursive: true });
  link.state = 'open';
  await zenith.run('start');
  await zenith.startPostgres('main');
  expect(await sumsOf(zenith, 'main')).toEqual(await expected(zenith, rows));
  // What the dead one had put and not named is left, and nobody can come to name it.
  await settleBranch(zenith, 'main');
  const { orphans } = await soundScrub(storage);
  expect(orphans).toContainEqual(expect.objectContaining({ key: left, removable: true }));
  expect(orphans.filter(({ key }) => !key.startsWith('layers/'))).toEqual([]);
  expect((await zenith.json<ScrubReport>('scrub', '--delete-orphans')).deleted).toContain(left);
  expect((await soundScrub(storage)).orphans).toEqual([]);
}

/** Takes remote storage away from a repository that reaches it through `link`: what is local goes on, and all of it is there in the end. */
export async function survivesOutage(zenith: Zenith, link: TcpProxy): Promise<void> {
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t as select i as id, md5(i::text) as text from generate_series(1, 20000) i');
  const before = await uploadBranch(zenith, 'main');
  link.state = 'cut';
  await insertRows(zenith, 20_001, 40_000);
  expect(await flushBranch(zenith, 'main')).toBeGreaterThan(before);
  await expectLocalService(zenith, 'silent', 40_000);
  link.state = 'refused';
  const end = performance.now() + OUTAGE_MS;
  await insertRows(zenith, 40_001, 60_000);
  await flushBranch(zenith, 'main');
  // Attempts, each with retries of its own, and the pauses between them.
  await expect
    .poll(() => pageserverMetric(zenith, 'zenith_pageserver_remote_failures_total'), { timeout: RESUME_MAX_MS })
    .toBeGreaterThanOrEqual(3);
  expect(await pageserverTimeline(zenith, 'main')).toMatchObject({ uploads: 'retrying' });
  expect(parseLsn((await pageserverTimeline(zenith, 'main')).remoteConsistentLsn)).toBe(before);
  const rows = await workUntil(zenith, 60_000, end);
  await expectLocalService(zenith, 'refused', rows);
  // The processes that lived through it go on.
  link.state = 'open';
  await expectUploaded(zenith, ['main', 'silent', 'refused'], await flushBranch(zenith, 'main'));

  // And so do processes that are started while it lasts.
  link.state = 'refused';
  await insertRows(zenith, rows + 1, rows + 10_000);
  await zenith.run('restart');
  await insertRows(zenith, rows + 10_001, rows + 20_000);
  const durable = await flushBranch(zenith, 'main');
  await expectLocalService(zenith, 'restarted', rows + 20_000);
  link.state = 'open';
  await expectUploaded(zenith, ['main', 'silent', 'refused', 'restarted'], durable);
  expect(await zenith.json('scrub')).toMatchObject({ missing: [], corrupt: [], foreign: [] });
}

/** Nothing waits for remote storage any more, and main is there up to `durable`. */
async function expectUploaded(zenith: Zenith, branches: readonly string[], durable: Lsn): Promise<void> {
  for (const branch of branches)
    await expect
      .poll(async () => (await pageserverTimeline(zenith, branch)).uploads, { timeout: RESUME_MAX_MS })
      .toBe('idle');
  const main = await pageserverTimeline(zenith, 'main');
  expect(parseLsn(main.remoteConsistentLsn)).toBeGreaterThanOrEqual(durable);
  expect(main.uploadError).toBeNull();
}

/** A branch can be made, and a compute that has nothing reads all of it. */
async function expectLocalService(zenith: Zenith, branch: string, rows: number): Promise<void> {
  await zenith.run('branch', branch, 'main');
  await zenith.startPostgres(branch);
  expect(await sumsOf(zenith, branch)).toEqual(await expected(zenith, rows));
  await zenith.run('pg', 'stop', branch, '--destroy');
}
