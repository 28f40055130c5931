import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn } from '@zenith/base';
import { afterEach, describe, expect, test } from 'vitest';
import { pageserverTimeline, type TimelineJson } from './support/pageserver-timeline.ts';
import { SmallDisk, whyNoSmallDisks } from './support/small-disk.ts';
import { Zenith } from './support/zenith.ts';

const MIB = 1024 * 1024;

/** Room for an empty cluster and for some of what the tests write. */
const DISK_BYTES = 128 * MIB;

const reason = whyNoSmallDisks();
if (reason !== undefined) console.warn(`left out: a full and a read-only disk of the pageserver; ${reason}`);

describe.skipIf(reason !== undefined)('the disk of the pageserver', () => {
  let zenith: Zenith;
  let disk: SmallDisk;

  /** @param folder of the pageserver's, which becomes a disk of its own */
  async function start(folder: string): Promise<void> {
    zenith = await Zenith.init();
    const pageserver = join(zenith.repository, 'pageserver');
    const storage = { memoryBytes: 64 * MIB, checkpointDistanceBytes: MIB };
    writeFileSync(join(pageserver, 'pageserver.json'), JSON.stringify({ storage, flushIntervalMs: 100 }));
    disk = SmallDisk.mount(join(pageserver, folder), DISK_BYTES);
    await zenith.run('start');
    await zenith.startPostgres('main');
    await zenith.query(
      'main',
      'create table t as select i as id, md5(i::text) as text from generate_series(1, 20000) i',
    );
    await zenith.query('main', 'checkpoint');
  }

  afterEach(async () => {
    await zenith.try('stop');
    disk.unmount();
    await zenith.destroy();
  });

  const timeline = (): Promise<TimelineJson> => pageserverTimeline(zenith, 'main');

  const pageserverState = async (): Promise<string | undefined> =>
    (await zenith.status()).nodes.find(({ service }) => service === 'pageserver')?.status;

  const SUMS = 'select count(*)::int as count, sum(hashtext(text))::text as sum from t';
  const expected = (rows: number): Promise<object[]> =>
    zenith.query(
      'main',
      `select count(*)::int as count, sum(hashtext(md5(i::text)))::text as sum from generate_series(1, ${rows}) i`,
    );

  test.each([
    ['full', '.', () => disk.fill(), () => disk.free(), /ENOSPC/],
    ['read-only', 'tenants', () => disk.makeReadOnly(), () => disk.makeWritable(), /EROFS/],
  ] as const)(
    '%s: ingest waits, reads and commits go on, and everything resumes by itself',
    async (_, folder, damage, mend, error) => {
      await start(folder);
      // Its pages are read from the pageserver when they are asked for.
      await zenith.run('branch', 'reader', 'main');
      await zenith.startPostgres('reader');
      const pid = zenith.pid('pageserver');
      await damage();
      // More than a pageserver takes into memory: the safekeepers keep the rest of the WAL.
      await zenith.query('main', 'insert into t select i, md5(i::text) from generate_series(20001, 120000) i');
      await expect
        .poll(
          async () => {
            const { flushError, frozenLayers } = await timeline();
            return error.test(flushError ?? '') && frozenLayers > 1;
          },
          { timeout: 60_000 },
        )
        .toBe(true);
      expect(await pageserverState()).toBe('degraded');
      expect(await zenith.query('reader', SUMS)).toEqual(await expected(20_000));
      expect(await zenith.query('main', SUMS)).toEqual(await expected(120_000));
      const refused = await zenith.try('branch', 'none', 'main@' + (await timeline()).diskConsistentLsn);
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(error) as string });
      const { commitLsn } = await zenith.branch('main');
      expect(parseLsn((await timeline()).lastRecordLsn)).toBeLessThan(commitLsn);
      mend();
      await expect
        .poll(async () => parseLsn((await timeline()).diskConsistentLsn), { timeout: 120_000 })
        .toBeGreaterThanOrEqual(commitLsn);
      expect((await timeline()).flushError).toBeNull();
      expect(await pageserverState()).toBe('running');
      await zenith.run('branch', 'later', `main@${formatLsn(commitLsn)}`);
      await zenith.startPostgres('later');
      expect(await zenith.query('later', SUMS)).toEqual(await expected(120_000));
      expect(zenith.pid('pageserver')).toBe(pid);
      // Lines of the log that found no room came when there was some; each timeline says once that it waits.
      const { timeline: id } = await zenith.branch('main');
      const log = readFileSync(join(zenith.repository, 'pageserver/pageserver.log'), 'utf8');
      const lines = log.split('\n').filter((line) => line.includes(id) && /a flush failed|flushes go on/.test(line));
      expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
        'a flush failed and will be tried again',
        'flushes go on',
      ]);
    },
  );

  test('full: killed and started again without room it serves reads, and everything acknowledged is there when there is some', async () => {
    await start('.');
    await zenith.run('branch', 'reader', 'main');
    await zenith.startPostgres('reader');
    disk.fill();
    await zenith.query('main', 'insert into t select i, md5(i::text) from generate_series(20001, 30000) i');
    await zenith.kill('pageserver');
    disk.fill();
    await zenith.run('start');
    disk.fill();
    expect(await zenith.query('reader', SUMS)).toEqual(await expected(20_000));
    expect(await zenith.query('main', SUMS)).toEqual(await expected(30_000));
    await zenith.kill('pageserver');
    await zenith.run('start');
    expect(await zenith.query('reader', SUMS)).toEqual(await expected(20_000));
    disk.free();
    const { commitLsn } = await zenith.branch('main');
    await expect
      .poll(async () => parseLsn((await timeline()).diskConsistentLsn), { timeout: 120_000 })
      .toBeGreaterThanOrEqual(commitLsn);
    await zenith.run('branch', 'later', `main@${formatLsn(commitLsn)}`);
    await zenith.startPostgres('later');
    expect(await zenith.query('later', SUMS)).toEqual(await expected(30_000));
  });
});
