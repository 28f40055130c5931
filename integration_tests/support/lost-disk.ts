import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn } from '@zenith/base';
import { expect } from 'vitest';
import { pageserverMetric } from './pageserver-metric.ts';
import { uploadBranch } from './pageserver-timeline.ts';
import type { Zenith } from './zenith.ts';

/** Less than the pages of an empty cluster take. Unit: bytes. */
const DISK_BYTES = 2 * 1024 * 1024;

/**
 * Loses the pageserver's disk: rows on two branches, some uploaded, some later ones not, then `kill -9` and no folder any more. Everything must come back, from remote storage and from the
 * safekeepers, and old history must be readable, on a disk that is too small for all of it.
 */
export async function loseTheDisk(zenith: Zenith): Promise<void> {
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t as select i as id, md5(i::text) as text from generate_series(1, 20000) i');
  await zenith.query('main', 'create index on t (text)');
  const uploaded = await uploadBranch(zenith, 'main');
  await zenith.run('branch', 'child', 'main');
  await zenith.startPostgres('child');
  await zenith.query('child', 'delete from t where id % 2 = 0');
  await uploadBranch(zenith, 'child');
  await zenith.query('main', 'insert into t select i, md5(i::text) from generate_series(20001, 25000) i');
  await zenith.kill('pageserver');
  await zenith.run('pg', 'stop', 'child', '--destroy');
  await zenith.run('pg', 'stop', 'main', '--destroy');
  const pageserver = join(zenith.repository, 'pageserver');
  rmSync(pageserver, { recursive: true });
  // The new disk is too small for all of it.
  mkdirSync(pageserver);
  writeFileSync(join(pageserver, 'pageserver.json'), JSON.stringify({ storage: { diskBytes: DISK_BYTES } }));
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.startPostgres('child');
  const sums = 'select count(*)::int as count, sum(hashtext(text))::text as sum from t';
  const expected = (rows: string): string =>
    `select count(*)::int as count, sum(hashtext(md5(i::text)))::text as sum from generate_series(1, ${rows}`;
  expect(await zenith.query('main', sums)).toEqual(await zenith.query('main', expected('25000) i')));
  expect(await zenith.query('child', sums)).toEqual(await zenith.query('main', expected('20000) i where i % 2 = 1')));
  // History from before the loss is there too.
  await zenith.run('branch', 'past', `main@${formatLsn(uploaded)}`);
  await zenith.startPostgres('past');
  expect(await zenith.query('past', sums)).toEqual(await zenith.query('main', expected('20000) i')));
  await uploadBranch(zenith, 'main');
  await expectEviction(zenith);
  await expectSoundObjects(zenith);
}

/** Layers went from the disk that is too small for them, and those that did are in remote storage. */
async function expectEviction(zenith: Zenith): Promise<void> {
  const { layers } = await zenith.json<{ layers: { resident: boolean; remote: boolean; fileBytes: number }[] }>(
    'layers',
    'main',
    '--svg',
    join(zenith.directory, 'layers.svg'),
  );
  const absent = layers.filter(({ resident }) => !resident);
  expect(absent.some(({ fileBytes }) => fileBytes > DISK_BYTES)).toBe(true);
  expect(absent.every(({ remote }) => remote)).toBe(true);
  expect(readFileSync(join(zenith.directory, 'layers.svg'), 'utf8').match(/<title>/g)).toHaveLength(layers.length);
  expect(await pageserverMetric(zenith, 'zenith_pageserver_evicted_bytes_total')).toBeGreaterThan(DISK_BYTES);
}

/** Remote storage has what its indexes say. */
async function expectSoundObjects(zenith: Zenith): Promise<void> {
  const report = await zenith.json<{ objects: number; missing: unknown[]; corrupt: unknown[]; foreign: unknown[] }>(
    'scrub',
  );
  expect(report).toMatchObject({ missing: [], corrupt: [], foreign: [] });
  expect(report.objects).toBeGreaterThan(4);
}
