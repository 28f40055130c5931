import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { INVALID_LSN, parseLsn, type Lsn } from '@zenith/base';
import { SAMPLED_MAJORS, StockPostgres, chownTree, unprivilegedUser } from '@zenith/testing';
import { DbState, decodeControlFile, encodeControlFile } from '../control-file/control-file.ts';
import { DEFAULT_WAL_SEGMENT_SIZE, XLOG_BLCKSZ } from './constants.ts';
import { writeWalPageHeader } from './page-header.ts';
import { walSegmentFileName } from './segment.ts';
import { encodeShutdownCheckpoint } from './shutdown-checkpoint.ts';

const SEGMENT = DEFAULT_WAL_SEGMENT_SIZE;

describe.each(SAMPLED_MAJORS)('PostgreSQL %i starts without recovery at a checkpoint made', (major) => {
  let server: StockPostgres;
  let rowCount = 1;

  beforeAll(async () => {
    server = StockPostgres.create({ major, settings: { autovacuum: 'off' } });
    await server.start();
    await server.query('create table t(i int); insert into t values (0)');
    await server.stop();
  }, 120_000);

  afterAll(async () => {
    await server.remove();
  });

  // Each start goes on from the one before, with data written in between.
  test.each<[string, (after: number) => number]>([
    ['in the middle of a page', (after) => after + XLOG_BLCKSZ - (after % XLOG_BLCKSZ) + 4096],
    ['on a page boundary', (after) => after + 2 * XLOG_BLCKSZ - (after % XLOG_BLCKSZ)],
    ['so that the record crosses a page', (after) => after + 2 * XLOG_BLCKSZ - (after % XLOG_BLCKSZ) - 48],
    [
      'so that only its length is before the page boundary',
      (after) => after + 2 * XLOG_BLCKSZ - (after % XLOG_BLCKSZ) - 8,
    ],
    ['on a segment boundary', (after) => after + SEGMENT - (after % SEGMENT)],
    ['so that the record crosses a segment', (after) => after + 2 * SEGMENT - (after % SEGMENT) - 64],
    ['after the segment before', (after) => after + 64 - (after % 8)],
  ])('%s', async (_, place) => {
    const path = (...parts: string[]): string => join(server.dataDirectory, ...parts);
    const before = decodeControlFile(readFileSync(path('global', 'pg_control')));
    const at = place(before.checkPoint + 120) as Lsn;
    expect(await restart(at, before.checkPoint)).toBe(++rowCount);

    async function restart(atLsn: Lsn, prev: Lsn): Promise<number> {
      const wal = encodeShutdownCheckpoint(major, atLsn, prev, before.checkPointCopy, before.systemId);
      expect(wal.startOffset).toBe(atLsn % SEGMENT);
      writeWal(atLsn, wal.bytes);
      const control = {
        ...before,
        state: DbState.shutdowned,
        checkPoint: wal.recordLsn,
        checkPointCopy: wal.checkPoint,
        minRecoveryPoint: INVALID_LSN,
      };
      writeFileSync(path('global', 'pg_control'), encodeControlFile(control));
      chownTree(server.dataDirectory, unprivilegedUser());
      await server.start();
      const log = readFileSync(join(server.dataDirectory, '..', 'postgres.log'), 'utf8');
      expect(log).not.toContain('automatic recovery');
      const [lsn] = await server.query('select pg_current_wal_insert_lsn() l, count(*) n from t');
      expect(parseLsn(String(lsn?.['l']))).toBeGreaterThan(atLsn);
      await server.query('insert into t select max(i) + 1 from t');
      await server.query('checkpoint');
      const count = Number((await server.query('select count(*) n from t'))[0]?.['n']);
      await server.stop();
      return count;
    }

    /** Lays the WAL into its segment files, with headers on the segment's first page and on the page it begins in the middle of. */
    function writeWal(atLsn: Lsn, bytes: Uint8Array): void {
      const first = Math.floor(atLsn / SEGMENT) * SEGMENT;
      const segments = Math.ceil((atLsn - first + bytes.length) / SEGMENT);
      const area = new Uint8Array(segments * SEGMENT);
      const header = { info: 0, pgTimeline: 1, remainingLength: 0, systemId: before.systemId, segmentSize: SEGMENT };
      const view = new DataView(area.buffer);
      writeWalPageHeader(major, view, 0, first as Lsn, header);
      const pageStart = atLsn - (atLsn % XLOG_BLCKSZ);
      writeWalPageHeader(major, view, pageStart - first, pageStart as Lsn, header);
      area.set(bytes, atLsn - first);
      for (let i = 0; i < segments; i++) {
        const file = openSync(path('pg_wal', walSegmentFileName(1, first / SEGMENT + i, SEGMENT)), 'w', 0o600);
        writeSync(file, area, i * SEGMENT, SEGMENT);
        closeSync(file);
      }
    }
  });
});
