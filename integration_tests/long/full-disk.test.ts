import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn } from '@zenith/base';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SmallDisk, whyNoSmallDisks } from '../support/small-disk.ts';
import { Zenith } from '../support/zenith.ts';

// Every safekeeper has a file system of its own, small, with its log on it. Filling it up is real: nothing between the safekeeper and the kernel says so.

/** WAL, the segment made ahead, and what the test writes while there is room. Unit: bytes. */
const DISK_BYTES = 192 * 1024 * 1024;

const SAFEKEEPERS = [1, 2, 3] as const;

/** So much is more than the segment that is written and the one that was made ahead: the disk is met. Unit: rows of 4 kB. */
const ROWS = 12_000;

const LOOK = { timeout: 120_000, interval: 100 };

const reason = whyNoSmallDisks();

describe.skipIf(reason !== undefined)(`full disks${reason === undefined ? '' : ` (left out: ${reason})`}`, () => {
  let zenith: Zenith;
  let pids: readonly number[];
  let rows = 0;

  const disks = new Map<number, SmallDisk>();

  beforeAll(async () => {
    zenith = await Zenith.init('--safekeepers', '3');
    for (const id of SAFEKEEPERS)
      disks.set(id, SmallDisk.mount(join(zenith.repository, `safekeepers/${id}`), DISK_BYTES));
    await zenith.run('start');
    await zenith.startPostgres('main', '--set', 'autovacuum=off');
    await zenith.query('main', 'create table t (id int primary key, v text)');
    await zenith.query('main', 'alter table t alter v set storage plain');
    pids = SAFEKEEPERS.map((id) => zenith.pid(`safekeeper ${id}`));
  });

  afterAll(async () => {
    await zenith.try('stop');
    for (const disk of disks.values()) disk.unmount();
    await zenith.destroy();
  });

  function fillUp(id: number): void {
    const disk = disks.get(id);
    disk?.fill();
    expect(statfsSync(disk?.path ?? '').bavail).toBe(0);
  }

  function insert(client: Client, count: number): Promise<unknown> {
    const from = rows + 1;
    rows += count;
    return client.query(`insert into t select g, repeat(md5(g::text), 125) from generate_series(${from}, ${rows}) g`);
  }

  async function expectAllRows(): Promise<void> {
    const sums = 'select count(*)::int as count, max(id) as last, sum(hashtext(v)) as sum from t';
    const [{ sum } = { sum: '' }] = await zenith.query<{ sum: string }>(
      'main',
      `select sum(hashtext(repeat(md5(g::text), 125))) as sum from generate_series(1, ${rows}) g`,
    );
    expect(await zenith.query('main', sums)).toEqual([{ count: rows, last: rows, sum }]);
  }

  /** What `zenith status` says of a safekeeper. */
  async function ailment(id: number): Promise<string> {
    const { nodes } = await zenith.status();
    const node = nodes.find((one) => one.id === id);
    return `${node?.status} ${node?.message ?? ''}`;
  }

  async function flushLsn(id: number): Promise<number> {
    const { nodes } = await zenith.status();
    const { tenant, timeline } = await zenith.branch('main');
    const port = nodes.find((node) => node.id === id)?.httpPort;
    const response = await fetch(`http://127.0.0.1:${port}/v1/tenant/${tenant}/timeline/${timeline}`);
    return parseLsn(((await response.json()) as { readonly flushLsn: string }).flushLsn);
  }

  async function expectCaughtUp(): Promise<void> {
    const { commitLsn } = await zenith.branch('main');
    for (const id of SAFEKEEPERS) {
      await expect.poll(() => ailment(id), LOOK).toBe('running ');
      await expect.poll(() => flushLsn(id), LOOK).toBeGreaterThanOrEqual(commitLsn);
    }
    expect(SAFEKEEPERS.map((id) => zenith.pid(`safekeeper ${id}`))).toEqual(pids);
  }

  test('under one safekeeper: the quorum goes on, it says so, and catches up without a restart when there is room', async () => {
    const client = await zenith.connect();
    await insert(client, 100);
    fillUp(1);
    await insert(client, ROWS);
    await client.end();
    await expect.poll(() => ailment(1), LOOK).toContain('its disk is full');
    expect(await ailment(2)).toBe('running ');
    await expectAllRows();
    disks.get(1)?.free();
    await expectCaughtUp();
    await expectAllRows();
  });

  test('under all: commits wait, reads do not; with room under two of them they are done, without a restart of anything', async () => {
    const client = await zenith.connect();
    for (const id of SAFEKEEPERS) fillUp(id);
    let done = false;
    const inserted = insert(client, ROWS).then(() => {
      done = true;
    });
    for (const id of SAFEKEEPERS) await expect.poll(() => ailment(id), LOOK).toContain('its disk is full');
    expect(await zenith.query('main', 'select count(*)::int as count from t')).toEqual([{ count: rows - ROWS }]);
    expect(done).toBe(false);
    disks.get(3)?.free();
    disks.get(1)?.free();
    await inserted;
    disks.get(2)?.free();
    await client.end();
    await expectCaughtUp();
    await expectAllRows();
  });

  test('and killed while they are full: started without room they serve reads, with room everything acknowledged is there', async () => {
    const client = await zenith.connect();
    for (const id of SAFEKEEPERS) fillUp(id);
    const inserted = insert(client, ROWS).then(
      () => true,
      () => false,
    );
    for (const id of SAFEKEEPERS) await expect.poll(() => ailment(id), LOOK).toContain('its disk is full');
    for (const id of SAFEKEEPERS) await zenith.kill(`safekeeper ${id}`);
    for (const id of SAFEKEEPERS) fillUp(id);
    await zenith.run('start');
    pids = SAFEKEEPERS.map((id) => zenith.pid(`safekeeper ${id}`));
    for (const id of SAFEKEEPERS) await expect.poll(() => ailment(id), LOOK).toContain('its disk is full');
    expect(await zenith.query('main', 'select count(*)::int as count from t')).toEqual([{ count: rows - ROWS }]);
    for (const id of SAFEKEEPERS) disks.get(id)?.free();
    expect(await inserted).toBe(true);
    await client.end();
    await expectCaughtUp();
    await expectAllRows();
  });
});
