import { formatLsn, lsn, parseLsn, type Lsn } from '@zenith/base';
import { SAMPLED_MAJORS } from '@zenith/testing';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ComputeCluster,
  ComputeOrigin,
  SEGMENT_SIZE,
} from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import type { ServiceProcess } from '../../packages/compute/src/supervisor/service-process.test-support.ts';

// Where WAL ends, bytes are easily counted wrongly: at page and segment boundaries, and behind an xlog switch, which takes all of its segment. Each end is made to the byte, everything is killed there, and started again twice.

const PAGE = 8192;
/** A page begins with so many bytes of header, a segment's first one with more. */
const PAGE_HEADER = 24;
const SEGMENT_HEADER = 40;

/** XLOG_SWITCH: a header and nothing else. */
const SWITCH_BYTES = 24;

/** A commit record without anything special: 34 bytes, at an address that 8 divides. */
const COMMIT_BYTES = 40;

/** Checkpoints, autovacuum and the like would write WAL of their own; the background writer's 15 seconds cannot be told not to. */
const QUIET = { autovacuum: 'off', checkpoint_timeout: '1h', max_wal_size: '4GB' };

/** Attempts at an end that something of the server's own has spoiled. */
const ATTEMPTS = 5;

/** A WAL position as a count of the bytes that records have used. PG: xlog.c, XLogRecPtrToBytePos(). */
function usedBytes(position: Lsn): number {
  const segment = Math.floor(position / SEGMENT_SIZE);
  const inSegment = position % SEGMENT_SIZE;
  const page = Math.floor(inSegment / PAGE);
  const inPage = inSegment % PAGE;
  const perPage = PAGE - PAGE_HEADER;
  const before = page === 0 ? 0 : PAGE - SEGMENT_HEADER + (page - 1) * perPage;
  const header = page === 0 ? SEGMENT_HEADER : PAGE_HEADER;
  return segment * usablePerSegment() + before + Math.max(0, inPage - header);
}

function usablePerSegment(): number {
  return (SEGMENT_SIZE / PAGE) * (PAGE - PAGE_HEADER) - (SEGMENT_HEADER - PAGE_HEADER);
}

/** Where a record ends that begins at `start` and is `bytes` long, at least up to the end of its page. */
function endOf(start: Lsn, bytes: number): Lsn {
  const left = PAGE - (start % PAGE);
  if (bytes <= left) return lsn(start + bytes);
  const next = start + left;
  return lsn(next + (next % SEGMENT_SIZE === 0 ? SEGMENT_HEADER : PAGE_HEADER) + bytes - left);
}

/** A position `bytes` before a page boundary that is at least two pages behind `from`. */
function beforePageEnd(from: Lsn, bytes: number): Lsn {
  return lsn((Math.floor(from / PAGE) + 3) * PAGE - bytes);
}

/** A position `bytes` before a segment boundary that is at least two pages behind `from`. */
function beforeSegmentEnd(from: Lsn, bytes: number): Lsn {
  return lsn((Math.floor((from + 3 * PAGE) / SEGMENT_SIZE) + 1) * SEGMENT_SIZE - bytes);
}

async function insertPosition(client: Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
  return parseLsn(rows[0]?.lsn ?? '');
}

async function flushPosition(client: Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_flush_lsn() as lsn');
  return parseLsn(rows[0]?.lsn ?? '');
}

async function requirePosition(client: Client, wanted: Lsn): Promise<void> {
  const reached = await insertPosition(client);
  if (reached !== wanted) throw new Spoiled(`${formatLsn(reached)} was reached, not ${formatLsn(wanted)}`);
}

/** Writes WAL that nobody replays, so that the next record begins at `target`. */
async function fillUpTo(client: Client, target: (from: Lsn) => Lsn): Promise<Lsn> {
  const from = await insertPosition(client);
  const wanted = target(from);
  const bytes = usedBytes(wanted) - usedBytes(from);
  // Header 24, xl_logical_message 24, an empty prefix with its end 1; then how long all this is, in 2 bytes or, beyond 255, in 5.
  const length = bytes <= 280 ? bytes - 51 : bytes - 54;
  await client.query("select pg_logical_emit_message(false, '', repeat('x', $1::int))", [length]);
  return wanted;
}

/** Something of the server's own came in between. */
class Spoiled extends Error {}

/** Makes an end of WAL; gives where the WAL must end then. @throws Spoiled */
type MakeEnd = (client: Client, insert: string) => Promise<Lsn>;

/** A transaction whose commit record begins at `target`. */
function commitAt(target: (from: Lsn) => Lsn): MakeEnd {
  return async (client, insert) => {
    await client.query('begin');
    await client.query(insert);
    const start = await fillUpTo(client, target);
    await requirePosition(client, start);
    await client.query('commit');
    return endOf(start, COMMIT_BYTES);
  };
}

/**
 * A switch that begins at `target`. Rolled back, which takes back nothing of it: the end of the transaction of one that ends exactly with its segment would ask for a flush of 40 bytes more, the next page's header, and from PostgreSQL 17 on no
 * walsender sends anything while that counts as WAL, until there is another record. PG 18: XLogInsertRecord(), WALReadFromBuffers(), xlog.c.
 */
function switchAt(target: (from: Lsn) => Lsn, end: 'rollback' | 'commit' = 'rollback'): MakeEnd {
  return async (client, insert) => {
    await client.query(insert);
    const start = await fillUpTo(client, target);
    await requirePosition(client, start);
    await client.query('begin');
    await client.query('select pg_switch_wal()');
    await client.query(end);
    return lsn((Math.floor(start / SEGMENT_SIZE) + 1) * SEGMENT_SIZE);
  };
}

const crossing = commitAt((from) => beforeSegmentEnd(from, 16));

const ENDS: readonly [string, MakeEnd][] = [
  ['a simple commit', commitAt((from) => lsn(beforePageEnd(from, 0) - 1024))],
  ['a commit that ends with its page', commitAt((from) => beforePageEnd(from, COMMIT_BYTES))],
  ['a commit that crosses a page', commitAt((from) => beforePageEnd(from, 16))],
  ['a commit that ends with its segment', commitAt((from) => beforeSegmentEnd(from, COMMIT_BYTES))],
  ['a commit that crosses a segment', crossing],
  [
    'a small record after one that crosses a segment',
    async (client, insert) => {
      const crossed = await crossing(client, insert);
      await requirePosition(client, crossed);
      await client.query("select pg_logical_emit_message(true, '', 'x')");
      // The message of 52 bytes, then its commit.
      return lsn(crossed + 56 + COMMIT_BYTES);
    },
  ],
  ['an xlog switch', switchAt((from) => lsn(beforePageEnd(from, 0) - 1024))],
  ['an xlog switch that ends with its page', switchAt((from) => beforePageEnd(from, SWITCH_BYTES))],
  ['an xlog switch that ends with its segment', switchAt((from) => beforeSegmentEnd(from, SWITCH_BYTES))],
];

describe.each(SAMPLED_MAJORS)('the WAL of PostgreSQL %i', (major) => {
  let origin: ComputeOrigin;
  let cluster: ComputeCluster;
  let rows = 0;
  beforeAll(async () => {
    origin = await ComputeOrigin.create(major);
    cluster = await ComputeCluster.create(origin, 3, QUIET, 'real');
    await start(cluster);
    await cluster.query('create table sums (id int primary key, v int)');
  });
  afterAll(async () => {
    await cluster.remove();
    await origin.remove();
  });

  /** Makes the end; again when something of the server's own came in between. */
  async function makeEnd(make: MakeEnd): Promise<Lsn> {
    const spoiled: string[] = [];
    while (spoiled.length < ATTEMPTS) {
      const client = await cluster.connect();
      try {
        rows++;
        const end = await make(client, `insert into sums values (${rows}, ${rows * 7})`);
        await requireEnd(end);
        return end;
      } catch (error) {
        if (!(error instanceof Spoiled)) throw error;
        spoiled.push(error.message);
        await client.query('commit');
      } finally {
        await client.end();
      }
    }
    throw new Error(`something came in between ${ATTEMPTS} times: ${spoiled.join('; ')}`);
  }

  /** Waits until the quorum has the WAL up to `end`. @throws Spoiled when there is more of it */
  async function requireEnd(end: Lsn): Promise<void> {
    try {
      await expect
        .poll(async () => parseLsn(String((await cluster.status())['commitLsn'])), { timeout: 30_000, interval: 10 })
        .toBeGreaterThanOrEqual(end);
    } catch (cause) {
      throw new Error(`the quorum lacks WAL up to ${formatLsn(end)}\n${await cluster.whereaboutsOfWal()}`, { cause });
    }
    const { receivedLsn } = await cluster.status();
    // PostgreSQL 15 may have written the header of a page that no record has come to yet.
    if (usedBytes(parseLsn(String(receivedLsn))) !== usedBytes(end))
      throw new Spoiled(`${String(receivedLsn)} is the end, not ${formatLsn(end)}`);
  }

  async function sums(): Promise<unknown> {
    return cluster.query('select count(*)::int as count, sum(v)::int as sum, max(id) as last from sums');
  }

  const expected = (): unknown => [{ count: rows, sum: (7 * rows * (rows + 1)) / 2, last: rows }];

  test.each(ENDS)(
    'may end with %s: everything killed and started again, twice, has the right sums',
    async (_, make) => {
      const end = await makeEnd(make);
      await killAll(cluster);
      await start(cluster);
      expect(usedBytes(parseLsn(String((await cluster.status())['startLsn'])))).toBe(usedBytes(end));
      expect(await sums()).toEqual(expected());
      await killAll(cluster);
      await start(cluster);
      expect(await sums()).toEqual(expected());
      rows++;
      await cluster.query(`insert into sums values (${rows}, ${rows * 7})`);
      expect(await sums()).toEqual(expected());
    },
  );

  test('commits go on behind an xlog switch that ends with its segment, however far PostgreSQL says that it has flushed', async () => {
    const client = await cluster.connect();
    try {
      rows++;
      const make = switchAt((from) => beforeSegmentEnd(from, SWITCH_BYTES), 'commit');
      const end = await make(client, `insert into sums values (${rows}, ${rows * 7})`);
      // Past the switch: the next page's header, which no record has come to, or a record of the server's own.
      await expect.poll(() => flushPosition(client), { timeout: 30_000, interval: 10 }).toBeGreaterThan(end);
    } finally {
      await client.end();
    }
    rows++;
    await cluster.query(`insert into sums values (${rows}, ${rows * 7})`).catch(async (cause: unknown) => {
      throw new Error(`a commit is not acknowledged\n${await cluster.whereaboutsOfWal()}`, { cause });
    });
    expect(await sums()).toEqual(expected());
  });
});

function services(cluster: ComputeCluster): ServiceProcess[] {
  return [cluster.compute, ...cluster.safekeepers, ...(cluster.pageserver === undefined ? [] : [cluster.pageserver])];
}

async function killAll(cluster: ComputeCluster): Promise<void> {
  for (const service of services(cluster)) service.kill('SIGKILL');
  for (const service of services(cluster)) await service.exited;
}

/** Starts whatever does not run, storage first. */
async function start(cluster: ComputeCluster): Promise<void> {
  const [compute, ...storage] = services(cluster);
  await Promise.all(storage.filter((service) => !service.isRunning).map((service) => service.start()));
  expect(await compute?.start()).toMatchObject({ ready: true });
}
