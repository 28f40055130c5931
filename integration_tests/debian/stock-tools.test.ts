import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const run = promisify(execFile);

/** The programs of the distribution's own PostgreSQL, Debian 12's or 13's: pg_receivewal wants a server of its own major version. */
const BIN = ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'].find((folder) =>
  existsSync(`${folder}/pg_receivewal`),
);
const SEGMENT_SIZE = 16 * 1024 * 1024;

/** A record as pg_waldump shows it. */
interface WalRecord {
  readonly line: string;
  readonly rmgr: string;
  readonly lsn: Lsn;
  readonly prev: Lsn;
}

function heapRecords(records: readonly WalRecord[]): number {
  return records.filter(({ rmgr }) => rmgr === 'Heap').length;
}

describe('stock tools at a safekeeper', () => {
  let zenith: Zenith;
  beforeAll(async () => {
    if (BIN === undefined) throw new Error('no pg_receivewal was found (Debian: apt-get install postgresql)');
    zenith = await Zenith.init('--pg-bin', BIN);
    await zenith.run('start');
    await zenith.startPostgres('main');
  });
  afterAll(() => zenith.destroy());

  function newFolder(name: string): string {
    const folder = join(zenith.directory, name);
    mkdirSync(folder);
    return folder;
  }

  async function connectionString(branch = 'main'): Promise<string> {
    const { tenant, timeline, safekeeperPort } = await zenith.branch(branch);
    return `host=127.0.0.1 port=${safekeeperPort} user=tool options='-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}'`;
  }

  /** Every complete or partial segment that pg_receivewal has written, up to `end`, is what the safekeeper has. */
  async function receive(directory: string, end: Lsn, branch = 'main'): Promise<readonly string[]> {
    const until = formatLsn((end - 8) as Lsn); // it stops once it has more than that
    const args = ['-D', directory, '-d', await connectionString(branch), '-n', '-E', until];
    await run(`${BIN}/pg_receivewal`, args, { timeout: 60_000 });
    const { tenant, timeline } = await zenith.branch(branch);
    const names = readdirSync(directory);
    for (const name of names) {
      const segment = name.replace('.partial', '');
      const ours = readFileSync(join(zenith.repository, 'safekeepers/1/tenants', tenant, timeline, segment));
      const start = Number.parseInt(segment.slice(16), 16) * SEGMENT_SIZE;
      const length = Math.min(SEGMENT_SIZE, end - start);
      expect(Buffer.compare(readFileSync(join(directory, name)).subarray(0, length), ours.subarray(0, length))).toBe(0);
    }
    return names;
  }

  test('pg_receivewal begins in the first segment, goes on where it was, over segments; pg_waldump reads what it got', async () => {
    const directory = newFolder('received');
    await zenith.query('main', 'create table t (id int, v text)');
    const first = await zenith.branch('main');
    const { startLsn } = first;
    expect(await receive(directory, first.commitLsn)).toHaveLength(1);
    await zenith.query('main', 'insert into t select g, repeat(md5(g::text), 30) from generate_series(1, 30000) g');
    const { commitLsn } = await zenith.branch('main');
    expect((await receive(directory, commitLsn)).length).toBeGreaterThanOrEqual(2);
    const complete = readdirSync(directory).filter((name) => !name.endsWith('.partial'));
    expect(complete.length).toBeGreaterThanOrEqual(1);
    // The timeline begins in the middle of its first segment: pg_waldump finds the first record there.
    const [segment = ''] = complete.toSorted();
    const { stdout } = await run(`${BIN}/pg_waldump`, ['-n', '1000', join(directory, segment)], {
      timeout: 60_000,
      maxBuffer: 16 * 1024 * 1024,
    });
    expect(stdout.trim().split('\n')).toHaveLength(1000);
    expect(stdout).toContain('rmgr: Heap');
    expect(stdout).toContain(`lsn: 0/${startLsn.toString(16).toUpperCase().padStart(8, '0')}, prev`);
  });

  /** What pg_waldump reads of received segments from `start` on, a line for each record; it fails unless it comes to `end`. */
  async function records(directory: string, start: Lsn, end: Lsn): Promise<readonly WalRecord[]> {
    for (const name of readdirSync(directory))
      if (name.endsWith('.partial')) copyFileSync(join(directory, name), join(directory, name.replace('.partial', '')));
    const range = ['-s', formatLsn(start), '-e', formatLsn(end)];
    const { stdout } = await run(`${BIN}/pg_waldump`, ['-p', directory, ...range], {
      timeout: 120_000,
      maxBuffer: 256 * 1024 * 1024,
    });
    const found = stdout.matchAll(/^rmgr: (\S+) .* lsn: ([0-9A-F/]+), prev ([0-9A-F/]+), .*$/gm);
    return Array.from(found, ([line, rmgr = '', lsn = '', prev = '']) => ({
      line,
      rmgr,
      lsn: parseLsn(lsn),
      prev: parseLsn(prev),
    }));
  }

  test("pg_receivewal follows a branch from the start of the segment that it begins in; pg_waldump reads it from there, and with main's bytes before the beginning main's records, then the branch's own", async () => {
    await zenith.query('main', 'create table parent (id int, v text)');
    await zenith.query('main', 'select pg_switch_wal()');
    await zenith.query('main', "insert into parent select g, 'parent' from generate_series(1, 1000) g");
    await zenith.run('branch', 'side');
    const { startLsn } = await zenith.branch('side');
    const segmentStart = (startLsn - (startLsn % SEGMENT_SIZE)) as Lsn;
    const segment = `0000000100000000${(segmentStart / SEGMENT_SIZE).toString(16).toUpperCase().padStart(8, '0')}`;
    expect(segmentStart).toBeGreaterThan((await zenith.branch('main')).startLsn); // so that main has all of that segment
    await zenith.query('main', "insert into parent select g, 'later' from generate_series(1, 1000) g");
    const { commitLsn: mainEnd } = await zenith.branch('main');
    const ofMain = newFolder('received-main');
    await receive(ofMain, mainEnd);

    await zenith.startPostgres('side');
    const ofSide = newFolder('received-side');
    // Into an empty folder it receives from the start of the segment that the timeline is in.
    expect(await receive(ofSide, (await zenith.branch('side')).commitLsn, 'side')).toEqual([`${segment}.partial`]);
    await zenith.query('side', 'create table own (id int, v text)');
    await zenith.query('side', 'insert into own select g, repeat(md5(g::text), 30) from generate_series(1, 30000) g');
    const { commitLsn: sideEnd } = await zenith.branch('side');
    expect((await receive(ofSide, sideEnd, 'side')).length).toBeGreaterThanOrEqual(2);

    const main = await records(ofMain, segmentStart, mainEnd);
    const own = await records(ofSide, segmentStart, sideEnd);
    const shared = main.filter(({ lsn }) => lsn < startLsn);
    expect(heapRecords(shared)).toBeGreaterThanOrEqual(1000);
    expect(own[0]).toMatchObject({ lsn: startLsn, prev: shared.at(-1)?.lsn });
    expect(heapRecords(own)).toBeGreaterThanOrEqual(30_000);
    const later = new Set(main.filter(({ lsn }) => lsn >= startLsn).map(({ line }) => line));
    expect(later.size).toBeGreaterThanOrEqual(1000);
    expect(own.filter(({ line }) => later.has(line))).toEqual([]);

    const joined = newFolder('joined');
    for (const name of readdirSync(ofSide))
      if (!name.endsWith('.partial')) copyFileSync(join(ofSide, name), join(joined, name));
    const bytes = readFileSync(join(ofSide, segment));
    readFileSync(join(ofMain, segment)).copy(bytes, 0, 0, startLsn - segmentStart);
    writeFileSync(join(joined, segment), bytes);
    expect(await records(joined, segmentStart, sideEnd)).toEqual([...shared, ...own]);
  });

  test('psql asks for the status of a timeline, and hears in one line what it may not ask', async () => {
    const ask = async (sql: string, more = ''): Promise<string> => {
      const target = `${await connectionString()} dbname=x${more}`;
      return run(`${BIN}/psql`, ['-X', '-A', '-t', '-c', sql, target], { timeout: 30_000 }).then(
        ({ stdout }) => stdout.trim(),
        (error: { stderr: string }) => error.stderr.trim(),
      );
    };
    const replication = ' replication=true';
    const { commitLsn } = await zenith.branch('main');
    expect(await ask('IDENTIFY_SYSTEM', replication)).toMatch(/^\d{19}\|1\|[0-9A-F]+\/[0-9A-F]+\|$/);
    const status = (await ask('TIMELINE_STATUS', replication)).split('|');
    expect(status).toHaveLength(8);
    // The server writes a little now and then by itself.
    const { commitLsn: later } = await zenith.branch('main');
    expect(parseLsn(status[2] ?? '')).toBeGreaterThanOrEqual(commitLsn);
    expect(parseLsn(status[2] ?? '')).toBeLessThanOrEqual(later);
    expect(status[7]).toBe('1: 1');
    expect(await ask('SHOW wal_segment_size', replication)).toBe('16MB');
    expect(await ask('select 1', replication)).toContain('a safekeeper does not know this command: select 1');
    expect(await ask('select 1')).toContain('connect with replication=true');
  });
});
