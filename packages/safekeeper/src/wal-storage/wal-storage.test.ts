import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CorruptionError, type Lsn } from '@zenith/base';
import { createControl, nodeId, type AcceptorControl } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { localDisk } from '../disk/local-disk.ts';
import { FaultyDisk } from '../testing/faulty-disk.test-support.ts';
import { SEGMENT_SIZE, testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { recoverWal } from './recovery.ts';
import { Segments } from './segments.ts';
import { WalReader } from './wal-reader.ts';
import { WalWriter } from './wal-writer.ts';

const identity = testIdentity();
const start = identity.timelineStartLsn;
const control = createControl(nodeId(1), identity, testConfiguration(1));
let directory: ReturnType<typeof temporaryDirectory>;
let segments: Segments;

beforeEach(() => {
  directory = temporaryDirectory();
  segments = new Segments(localDisk, directory.path, SEGMENT_SIZE);
});

afterEach(() => directory.remove());

async function written(wal: TestWal, end: Lsn = wal.endLsn): Promise<void> {
  const writer = new WalWriter(segments, start);
  await writer.prepareFirst();
  for (let at: number = start; at < end; at += 50_000)
    writer.append(wal.bytes(at as Lsn, Math.min(at + 50_000, end) as Lsn));
  await writer.sync();
  await writer.close();
}

async function readBack(begin: Lsn, end: Lsn): Promise<Uint8Array> {
  const reader = new WalReader(segments);
  const bytes = new Uint8Array(end - begin);
  await reader.read(begin, bytes, false);
  reader.close();
  return bytes;
}

describe('the writer', () => {
  test('fills segments of PostgreSQL names, the first from zeroes, and gives every byte back', async () => {
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    const names = readdirSync(directory.path).filter((name) => !name.endsWith('.tmp'));
    expect(names.slice(0, 3)).toEqual([
      '000000010000000000000003',
      '000000010000000000000004',
      '000000010000000000000005',
    ]);
    for (const name of names) expect(readFileSync(join(directory.path, name)).length).toBe(SEGMENT_SIZE);
    expect(Buffer.compare(await readBack(start, wal.endLsn), wal.bytes(start, wal.endLsn))).toBe(0);
    expect(
      readFileSync(join(directory.path, '000000010000000000000003'))
        .subarray(0, start % SEGMENT_SIZE)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  test('syncs every segment it wrote to, and the directory when files were made, before it says so', async () => {
    const disk = new FaultyDisk();
    segments = new Segments(disk, directory.path, SEGMENT_SIZE);
    const wal = new TestWal(identity).grow(3 * SEGMENT_SIZE);
    const writer = new WalWriter(segments, start);
    writer.append(wal.bytes(start, wal.endLsn));
    disk.operations.length = 0;
    await writer.sync();
    for (const segment of ['03', '04', '05']) expect(disk.count('sync', new RegExp(`${segment}$`))).toBe(1);
    expect(disk.count('syncDirectory', /./)).toBe(1);
    await writer.close();
  });

  test('cuts back to the byte: later segments are gone, the rest of the segment is zeroes, and writing goes on', async () => {
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    const cut = wal.recordEndBefore((start + 0.7 * SEGMENT_SIZE) as Lsn);
    const writer = new WalWriter(segments, wal.endLsn);
    await writer.truncate(cut);
    expect(segments.existing()).toEqual([3]);
    const file = readFileSync(segments.path(3));
    expect(file.length).toBe(SEGMENT_SIZE);
    expect(file.subarray(cut % SEGMENT_SIZE).every((byte) => byte === 0)).toBe(true);
    const other = new TestWal(identity, cut, 2, wal).grow(SEGMENT_SIZE);
    writer.append(other.bytes(cut, other.endLsn));
    await writer.sync();
    await writer.close();
    expect(Buffer.compare(await readBack(start, other.endLsn), other.bytes(start, other.endLsn))).toBe(0);
  });

  test('cuts back to the start of a segment by removing it', async () => {
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    const writer = new WalWriter(segments, wal.endLsn);
    await writer.truncate((4 * SEGMENT_SIZE) as Lsn);
    expect(segments.existing()).toEqual([3]);
    await writer.close();
  });

  test('fills the next segment with zeroes while WAL comes in small pieces, not while it comes in bulk', async () => {
    const disk = new FaultyDisk();
    const size = 4 * 1024 * 1024;
    const writer = new WalWriter(new Segments(disk, directory.path, size), (3 * size) as Lsn);
    const append = (length: number): void => writer.append(new Uint8Array(length));
    const filled = (): number => disk.count('create', /segment\.tmp$/);
    for (const length of [768, 768, 8, 768, 8]) {
      append(length * 1024); // the share from which it is filled is passed, by bulk; single small pieces do not tell that it is over
      await writer.sync();
    }
    expect(filled()).toBe(0);
    for (let i = 0; i < 8; i++) {
      append(8192);
      await writer.sync();
    }
    append(8192);
    expect(filled()).toBe(1);
    await writer.close();
  });

  test('goes on without a preallocated segment when there is no room for one', async () => {
    const disk = new FaultyDisk();
    disk.onOperation = ({ kind, path }) => {
      if (kind === 'write' && path.endsWith('.tmp'))
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    segments = new Segments(disk, directory.path, SEGMENT_SIZE);
    const wal = new TestWal(identity).grow(1.5 * SEGMENT_SIZE);
    const writer = new WalWriter(segments, start);
    writer.append(wal.bytes(start, wal.endLsn));
    await writer.sync();
    await writer.close();
    expect(segments.existing()).toEqual([3, 4]);
  });
});

describe('after a start', () => {
  test('the WAL ends after the last whole record, wherever the bytes end, and the torn rest is zeroes', async () => {
    const wal = new TestWal(identity).grow(24_000);
    const cuts = wal.records
      .flatMap(({ lsn, endLsn }) => [lsn, lsn + 1, lsn + 23, lsn + 24, endLsn - 8, endLsn])
      .filter((cut) => cut > start);
    for (const cut of cuts) {
      for (const number of segments.existing()) localDisk.remove(segments.path(number));
      await written(wal, cut as Lsn);
      const flushLsn = await recoverWal(segments, control, false);
      expect(flushLsn).toBe(wal.recordEndBefore(cut as Lsn));
      expect(
        readFileSync(segments.path(3))
          .subarray(flushLsn % SEGMENT_SIZE)
          .every((byte) => byte === 0),
      ).toBe(true);
    }
  });

  test('the search begins at the commit point and crosses segments', async () => {
    const wal = new TestWal(identity).grow(3.2 * SEGMENT_SIZE);
    await written(wal);
    const commitLsn = wal.recordEndBefore((start + 1.5 * SEGMENT_SIZE) as Lsn);
    expect(await recoverWal(segments, { ...control, commitLsn }, false)).toBe(wal.endLsn);
  });

  test('a term whose first record names another one before it is taken, as it was online; anywhere else that ends the WAL', async () => {
    const wal = new TestWal(identity).grow(40_000);
    const fork = wal.endLsn;
    const other = new TestWal(identity, fork, 2, wal, start).grow(SEGMENT_SIZE);
    await written(other);
    const history = [...control.history, { term: 3, startLsn: fork }];
    expect(await recoverWal(segments, { ...control, term: 3, history }, false)).toBe(other.endLsn);
    expect(await recoverWal(segments, control, false)).toBe(fork);
  });

  test('a record over a segment boundary whose second half is missing does not count', async () => {
    const wal = new TestWal(identity).grow(0.8 * SEGMENT_SIZE);
    const { lsn } = wal.record(SEGMENT_SIZE);
    await written(wal, (4 * SEGMENT_SIZE) as Lsn);
    expect(await recoverWal(segments, control, false)).toBe(lsn);
  });

  test('a damaged record ends the WAL before it', async () => {
    const wal = new TestWal(identity).grow(40_000);
    await written(wal);
    const victim = wal.records[5];
    const file = localDisk.open(segments.path(3), 'write');
    file.write(Uint8Array.of(0xff), 0, 1, ((victim?.endLsn ?? 0) - 9) % SEGMENT_SIZE);
    file.close();
    expect(await recoverWal(segments, control, false)).toBe(victim?.lsn);
  });

  test('a truncation that was under way is finished', async () => {
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    const pendingTruncationLsn = wal.recordEndBefore((start + 0.5 * SEGMENT_SIZE) as Lsn);
    expect(await recoverWal(segments, { ...control, pendingTruncationLsn }, false)).toBe(pendingTruncationLsn);
    expect(segments.existing()).toEqual([3]);
  });

  test('what reads well but may live in the page cache alone is written again and synced, in every segment; after a clean stop nothing is', async () => {
    const disk = new FaultyDisk();
    segments = new Segments(disk, directory.path, SEGMENT_SIZE);
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    const writes = (segment: string): number => disk.count('write', new RegExp(`${segment}$`));
    const synced = (segment: string): number => disk.count('sync', new RegExp(`${segment}$`));
    disk.operations.length = 0;
    expect(await recoverWal(segments, control, true)).toBe(wal.endLsn);
    expect(['03', '04', '05'].map(writes)).toEqual([0, 0, 0]);
    expect(await recoverWal(segments, control, false)).toBe(wal.endLsn);
    for (const segment of ['03', '04', '05']) {
      expect(writes(segment)).toBeGreaterThan(0);
      expect(synced(segment)).toBeGreaterThan(0);
    }
    expect(Buffer.compare(await readBack(start, wal.endLsn), wal.bytes(start, wal.endLsn))).toBe(0);
  });

  test('committed WAL without its segment is damage that names the file', async () => {
    const wal = new TestWal(identity).grow(2.5 * SEGMENT_SIZE);
    await written(wal);
    localDisk.remove(segments.path(4));
    const damaged: AcceptorControl = { ...control, commitLsn: wal.endLsn };
    await expect(recoverWal(segments, damaged, false)).rejects.toThrow(CorruptionError);
    await expect(recoverWal(segments, damaged, false)).rejects.toThrow(/000000010000000000000004/);
  });
});
