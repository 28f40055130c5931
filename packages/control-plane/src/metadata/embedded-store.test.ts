import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CorruptionError } from '@zenith/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EmbeddedMetadataStore } from './embedded-store.ts';
import { METADATA_BYTES_MAX } from './metadata-store.ts';
import { metadataStoreConformance } from './metadata-store.test-support.ts';

let folder: string;
let path: string;
const open = (): EmbeddedMetadataStore => new EmbeddedMetadataStore(path, join(folder, 'locks'));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zenith-metadata-'));
  path = join(folder, 'metadata.json');
  EmbeddedMetadataStore.create(path);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the embedded store conforms', () => {
  metadataStoreConformance(open);
});

test('a missing file is corruption, not an empty store', async () => {
  rmSync(path);
  await expect(open().list('')).rejects.toThrow(CorruptionError);
});

test.each([
  ['not JSON', 'metadata store is not JSON', '{"format": 1, "rev'],
  ['another format', 'not of format 1: format', '{"format": 2, "revision": 0, "entries": {}}'],
  ['an unknown key', 'not of format 1', '{"format": 1, "revision": 0, "entries": {}, "more": 1}'],
  ['an entry without a revision', 'not of format 1', '{"format": 1, "revision": 1, "entries": {"a": {"value": 1}}}'],
])('a file that is %s is an error that names it', async (_what, message, text) => {
  writeFileSync(path, text);
  await expect(open().get('a')).rejects.toThrow(message);
  await expect(open().get('a')).rejects.toThrow(path);
});

test('a value that would make the store too large is refused and the old content stands', async () => {
  const before = readFileSync(path, 'utf8');
  await expect(
    open().commit({ expect: [], put: [{ key: 'big', value: 'x'.repeat(METADATA_BYTES_MAX) }] }),
  ).rejects.toThrow('would grow over');
  expect(readFileSync(path, 'utf8')).toBe(before);
});

test('writers in several processes lose nothing and leave nothing behind', async () => {
  const script = `
    import { EmbeddedMetadataStore } from ${JSON.stringify(join(import.meta.dirname, 'embedded-store.ts'))};
    const store = new EmbeddedMetadataStore(${JSON.stringify(path)}, ${JSON.stringify(join(folder, 'locks'))});
    for (let i = 0; i < 10; i++) {
      if (!(await store.commit({ expect: [], put: [{ key: 'p' + process.pid + '/' + i, value: i }] }))) process.exit(1);
    }`;
  const run = (): Promise<unknown> =>
    promisify(execFile)(
      process.execPath,
      ['--conditions=source', '--import', 'tsx', '--input-type=module', '-e', script],
      { cwd: import.meta.dirname },
    );
  await Promise.all([run(), run(), run()]);
  expect((await open().list('p')).length).toBe(30);
  expect(readdirSync(join(folder, 'locks'))).toEqual([]);
  expect(readdirSync(folder).sort()).toEqual(['locks', 'metadata.json']);
});
