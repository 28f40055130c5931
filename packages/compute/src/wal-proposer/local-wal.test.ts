import { lsn } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LocalWal } from './local-wal.ts';

const SEGMENT = 1024 * 1024;

describe('LocalWal', () => {
  const directory = temporaryDirectory();
  const folder = join(directory.path, 'pg_wal');
  mkdirSync(folder);
  const segment = Buffer.alloc(SEGMENT);
  for (let at = 0; at < SEGMENT; at += 4) segment.writeUInt32LE(at, at);
  writeFileSync(join(folder, '000000010000000000000002'), segment);
  writeFileSync(join(folder, '000000010000000000000003'), segment.subarray(0, 100));
  const wal = new LocalWal(directory.path, SEGMENT);
  afterAll(() => directory.remove());

  it('reads inside of a segment and stops at its end', async () => {
    const bytes = await wal.read(lsn(2 * SEGMENT + 4096), 8);
    expect(Buffer.from(bytes).readUInt32LE(4)).toBe(4100);
    expect(await wal.read(lsn(3 * SEGMENT - 12), 100)).toHaveLength(12);
  });

  it('says when the WAL is not there, or not all of it', async () => {
    await expect(wal.read(lsn(SEGMENT), 8)).rejects.toMatchObject({ code: 'wal-unavailable' });
    await expect(wal.read(lsn(3 * SEGMENT + 96), 8)).rejects.toMatchObject({
      code: 'wal-unavailable',
      message: expect.stringContaining('ends 4 bytes early') as string,
    });
  });
});
