import { PG_MAJORS, formatOf } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { existsSync, linkSync, readFileSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileMaker, makeDirectory, requiredDirectories } from './layout.ts';

describe('files of a data directory', () => {
  let directory: { readonly path: string; remove(): void };
  let used: string;
  let made: string;
  beforeEach(() => {
    directory = temporaryDirectory();
    used = join(directory.path, 'used');
    made = join(directory.path, 'made');
    makeDirectory(used, undefined);
    makeDirectory(made, undefined);
  });
  afterEach(() => directory.remove());

  it('are made of used files first, which keep nothing of what they held', () => {
    writeFileSync(join(used, 'old'), 'x'.repeat(10_000), { mode: 0o644 });
    const inode = statSync(join(used, 'old')).ino;
    const files = new FileMaker(undefined, [join(used, 'old')]);
    files.make(join(made, 'first'), Buffer.from('new'), 20_000);
    files.make(join(made, 'second'), undefined, 8192);
    expect(statSync(join(made, 'first'))).toMatchObject({ ino: inode, size: 20_000 });
    expect(statSync(join(made, 'first')).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(join(made, 'first'));
    expect(bytes.subarray(0, 3).toString()).toBe('new');
    expect(bytes.subarray(3).every((byte) => byte === 0)).toBe(true);
    expect(readFileSync(join(made, 'second'))).toEqual(Buffer.alloc(8192));
    expect(readdirSync(used)).toEqual([]);
  });

  it('are not made of a file that has another name, or of a large one', () => {
    writeFileSync(join(used, 'kept'), 'precious');
    linkSync(join(used, 'kept'), join(directory.path, 'backup'));
    writeFileSync(join(used, 'large'), '');
    truncateSync(join(used, 'large'), 64 * 1024 * 1024);
    const files = new FileMaker(undefined, [join(used, 'kept'), join(used, 'large')]);
    files.make(join(made, 'new'), Buffer.from('new'));
    expect(readFileSync(join(made, 'new'), 'utf8')).toBe('new');
    expect(readFileSync(join(directory.path, 'backup'), 'utf8')).toBe('precious');
    expect(existsSync(join(used, 'large'))).toBe(true);
  });

  it('lie in directories whose parents come first', () => {
    for (const major of PG_MAJORS) {
      const seen = new Set(['']);
      for (const path of requiredDirectories(major)) {
        expect(seen.has(path.split('/').slice(0, -1).join('/'))).toBe(true);
        seen.add(path);
      }
      expect(seen.has('pg_wal/summaries')).toBe(formatOf(major).hasWalSummaries);
    }
  });
});
