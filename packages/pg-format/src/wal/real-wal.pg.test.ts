import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { crc32c, parseLsn, formatLsn, type Lsn } from '@zenith/base';
import { SAMPLED_MAJORS, StockPostgres } from '@zenith/testing';
import { decodeControlFile, type ControlFile } from '../control-file/control-file.ts';
import { allocatePage } from '../page/page.ts';
import type { PgMajor } from '../version.ts';
import { restoreBlockImage } from './block-image.ts';
import { DEFAULT_WAL_SEGMENT_SIZE, XLR_CHECK_CONSISTENCY } from './constants.ts';
import { decodeRecord } from './decode-record.ts';
import { WalRecord } from './record.ts';
import { RM_XLOG_ID } from './resource-managers.ts';
import { parseWalSegmentFileName, walSegmentFileName } from './segment.ts';
import { WalStreamDecoder } from './stream-decoder.ts';
import { trimRecord, trimmedLength } from './trim-record.ts';
import { XLOG_CHECKPOINT_SHUTDOWN } from './xlog-records.ts';

// A record longer than several pages, images with and without holes and compression, subtransactions, a prepared transaction, a switched segment.
const WORKLOAD = [
  'create table t(id int primary key, a text, b text); create index on t(a)',
  'insert into t select i, md5(i::text), repeat(md5(i::text), i % 40) from generate_series(1, 3000) i',
  'checkpoint',
  "update t set b = 'x' where id % 3 = 0; delete from t where id % 7 = 0",
  'vacuum freeze t',
  "select pg_logical_emit_message(true, 'zenith', repeat('long record ', 200000))",
  'select pg_switch_wal()',
  "set wal_consistency_checking = 'heap,btree'; insert into t select i, md5(i::text) from generate_series(4000, 4300) i",
  "begin; savepoint a; insert into t values (-1, 'a'); savepoint b; insert into t values (-2, 'b'); prepare transaction 'p'",
  'checkpoint',
  "commit prepared 'p'",
  'create table u as select * from t; drop table u',
];

interface Decoded {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
  readonly prev: Lsn;
  readonly xid: number;
  readonly totalLength: number;
  readonly mainDataLength: number;
  readonly imageLength: number;
}

/**
 * What the server's own reader says of each block, in order. pg_walinspect of 15 tells in words what a block is and how much of its image compression saved, and has no function for its bytes.
 */
async function blocksOf(
  server: StockPostgres,
  major: PgMajor,
  from: string,
  to: string,
): Promise<Record<string, unknown>[]> {
  if (major > 15)
    return server.query(
      `select start_lsn, block_id, reltablespace, reldatabase, relfilenode, relforknumber, relblocknumber, block_data, block_fpi_data from pg_get_wal_block_info('${from}', '${to}') order by start_lsn, block_id`,
    );
  return server.query(`
    select start_lsn, m[1]::int as block_id, m[2]::int as reltablespace, m[3]::int as reldatabase, m[4]::int as relfilenode,
           array_position(array['main', 'fsm', 'vm', 'init'], m[5]) - 1 as relforknumber, m[6]::bigint as relblocknumber,
           case m[7] when 'FPW' then true when 'FPW for WAL verification' then false end as apply_image,
           m[8]::int as hole_offset, m[9]::int as hole_length, m[10]::int as saved
      from pg_get_wal_records_info('${from}', '${to}'),
           regexp_matches(block_ref,
             'blkref #(\\d+): rel (\\d+)/(\\d+)/(\\d+) fork (\\w+) blk (\\d+)(?: \\(([\\w ]+)\\); hole: offset: (\\d+), length: (\\d+)(?:, compression saved: (\\d+), method: pglz)?)?', 'g') as m
     order by start_lsn, m[1]::int`);
}

describe.each(SAMPLED_MAJORS)('the WAL of PostgreSQL %i', (major) => {
  let server: StockPostgres;
  let control: ControlFile;
  let walFiles: Uint8Array;
  let walStart: Lsn;
  let from: Lsn;
  let firstName: string;
  /** What the server's own reader says of each record and each block, from `from` on. */
  let records: Record<string, unknown>[];
  let blocks: Record<string, unknown>[];

  beforeAll(async () => {
    server = StockPostgres.create({
      major,
      settings: {
        wal_compression: 'pglz',
        max_wal_size: '4GB',
        max_prepared_transactions: '5',
        autovacuum: 'off',
        wal_keep_size: '1GB',
        wal_level: 'logical',
      },
    });
    await server.start();
    await server.query('create extension pg_walinspect');
    from = parseLsn(String((await server.query('select pg_current_wal_insert_lsn() l'))[0]?.['l']));
    for (const sql of WORKLOAD) await server.query(sql);
    const to = String((await server.query('select pg_current_wal_flush_lsn() l'))[0]?.['l']);
    records = await server.query(
      `select start_lsn, end_lsn, prev_lsn, xid::text, resource_manager, record_length, main_data_length, fpi_length from pg_get_wal_records_info('${formatLsn(from)}', '${to}') order by start_lsn`,
    );
    blocks = await blocksOf(server, major, formatLsn(from), to);
    await server.stop();
    control = decodeControlFile(readFileSync(join(server.dataDirectory, 'global', 'pg_control')));

    const folder = join(server.dataDirectory, 'pg_wal');
    const names = readdirSync(folder)
      .filter((name) => parseWalSegmentFileName(name, DEFAULT_WAL_SEGMENT_SIZE) !== undefined)
      .toSorted();
    walFiles = Buffer.concat(names.map((name) => readFileSync(join(folder, name))));
    walStart = ((parseWalSegmentFileName(names[0] as string, DEFAULT_WAL_SEGMENT_SIZE)?.segmentNumber as number) *
      DEFAULT_WAL_SEGMENT_SIZE) as Lsn;
    firstName = names[0] as string;
  }, 180_000);

  afterAll(async () => {
    await server.remove();
  });

  /** Decodes pg_wal from `start` on in chunks of `size` bytes. What no checksum covers is zero, as the archive of WAL demands. */
  function decode(start: Lsn, size: number, visit: (record: WalRecord) => void): WalStreamDecoder {
    const decoder = new WalStreamDecoder(major, start, { systemId: control.systemId, gaps: 'zeroes' });
    const record = new WalRecord();
    for (let at = start - walStart; at < walFiles.length && decoder.end === undefined; at += size) {
      decoder.push(walFiles.subarray(at, Math.min(at + size, walFiles.length)));
      while (decoder.next(record)) visit(record);
    }
    return decoder;
  }

  test.each([512 * 1024, 131_072, 8192, 997])(
    'decodes to its end, which is the shutdown checkpoint of pg_control (chunks of %i bytes)',
    (size) => {
      let count = 0;
      let last = '';
      // The first page of pg_wal begins with a record from initdb, whole.
      const decoder = decode((walStart + 40) as Lsn, size, (record) => {
        count++;
        last = record.rmid === RM_XLOG_ID && (record.info & 0xf0) === XLOG_CHECKPOINT_SHUTDOWN ? 'shutdown' : 'other';
      });
      expect(last).toBe('shutdown');
      expect(decoder.lastRecordLsn).toBe(control.checkPoint);
      expect(decoder.lastRecordLsn).toBe(control.checkPointCopy.redo);
      expect(decoder.end?.lsn).toBe(decoder.position);
      expect(['never-written', 'page-header']).toContain(decoder.end?.reason);
      expect(count).toBeGreaterThan(records.length);
      expect(decoder.statistics.recordCount).toBe(count);
      expect(decoder.statistics.assembledCount).toBeGreaterThan(10);
    },
  );

  test('lies in files whose names are read back', () => {
    expect(walSegmentFileName(1, walStart / DEFAULT_WAL_SEGMENT_SIZE, DEFAULT_WAL_SEGMENT_SIZE)).toBe(firstName);
  });

  test('gives every record the place and the parts the server gives it', () => {
    const decoded: Decoded[] = [];
    decode(from, 131_072, (record) => {
      let imageLength = 0;
      for (let id = 0; id < record.blockCount; id++)
        imageLength += record.blocks[id]?.inUse === true ? (record.blocks[id]?.imageLength ?? 0) : 0;
      const { lsn, endLsn, prev, xid, totalLength, mainDataLength } = record;
      decoded.push({ lsn, endLsn, prev, xid, totalLength, mainDataLength, imageLength });
    });
    const expected = records.map((row): Decoded => ({
      lsn: parseLsn(String(row['start_lsn'])),
      endLsn: parseLsn(String(row['end_lsn'])),
      prev: parseLsn(String(row['prev_lsn'])),
      xid: Number(row['xid']),
      totalLength: Number(row['record_length']),
      mainDataLength: Number(row['main_data_length']),
      imageLength: Number(row['fpi_length']),
    }));
    expect(expected.length).toBeGreaterThan(5000);
    expect(decoded.slice(0, expected.length)).toEqual(expected);
  });

  test('gives every block the data and the image the server gives it, and a trimmed record keeps them', () => {
    let at = 0;
    let imageCount = 0;
    let compressedCount = 0;
    let checkCount = 0;
    const page = allocatePage();
    const trimmed = new WalRecord();
    const out = new Uint8Array(70_000);
    const view = new DataView(out.buffer);
    decode(from, 131_072, (record) => {
      for (let id = 0; id < record.blockCount && at < blocks.length; id++) {
        const block = record.blocks[id];
        if (block?.inUse !== true) continue;
        const row = blocks[at++] as Record<string, unknown>;
        expect([record.lsn, id]).toEqual([parseLsn(String(row['start_lsn'])), row['block_id']]);
        expect([block.spc, block.db, block.rel, block.fork, block.block]).toEqual([
          row['reltablespace'],
          row['reldatabase'],
          row['relfilenode'],
          row['relforknumber'],
          Number(row['relblocknumber']),
        ]);
        if ('block_data' in row) {
          const data = Buffer.from(record.bytes.buffer, record.bytes.byteOffset + block.dataOffset, block.dataLength);
          expect(data.equals((row['block_data'] as Buffer | null) ?? Buffer.alloc(0))).toBe(true);
          expect(block.hasImage).toBe(row['block_fpi_data'] !== null);
        } else {
          expect(block.hasImage ? block.applyImage : null).toBe(row['apply_image']);
        }
        if (block.hasImage) {
          restoreBlockImage(record, id, page);
          if ('block_data' in row)
            expect(Buffer.from(page.bytes.buffer).equals(row['block_fpi_data'] as Buffer)).toBe(true);
          else
            expect([block.holeOffset, block.holeLength, 8192 - block.holeLength - block.imageLength]).toEqual([
              row['hole_offset'],
              row['hole_length'],
              row['saved'] ?? 0,
            ]);
          imageCount++;
          if ((block.imageInfo & 0x04) !== 0) compressedCount++;
          if (!block.applyImage) checkCount++;
        }
        if (record.totalLength > out.length) continue;

        const length = trimRecord(record, id, out, view, 64);
        expect(length).toBe(trimmedLength(record, id));
        expect(length).toBeLessThanOrEqual(record.totalLength);
        decodeRecord(major, out, view, 64, record.lsn, record.endLsn, trimmed);
        const kept = trimmed.blocks[id];
        expect([trimmed.rmid, trimmed.info, trimmed.xid, trimmed.blockCount]).toEqual([
          record.rmid,
          record.info & ~XLR_CHECK_CONSISTENCY,
          record.xid,
          record.blockCount,
        ]);
        expect([kept?.rel, kept?.block, kept?.willInit, kept?.applyImage]).toEqual([
          block.rel,
          block.block,
          block.willInit,
          block.applyImage,
        ]);
        expect(crc32c(out, kept?.dataOffset, (kept?.dataOffset ?? 0) + (kept?.dataLength ?? 0))).toBe(
          crc32c(record.bytes, block.dataOffset, block.dataOffset + block.dataLength),
        );
        expect(crc32c(out, trimmed.mainDataOffset, trimmed.mainDataOffset + trimmed.mainDataLength)).toBe(
          crc32c(record.bytes, record.mainDataOffset, record.mainDataOffset + record.mainDataLength),
        );
      }
    });
    expect(at).toBe(blocks.length);
    expect(imageCount).toBeGreaterThan(100);
    expect(compressedCount).toBeGreaterThan(50);
    expect(checkCount).toBeGreaterThan(50);
  });
});
