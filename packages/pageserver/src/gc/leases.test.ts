import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lsn } from '@zenith/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unsyncedFileSystem } from '../timeline/storage-model.test-support.ts';
import { type Lease, Leases } from './leases.ts';

const [FIRST, SECOND, THIRD]: readonly [Lease, Lease, Lease] = [
  { holder: 'compute-a', lsn: 0x16b3d98 as Lsn, until: 1_800_000_000_000 },
  { holder: 'audit', lsn: 0x2000028 as Lsn, until: 1_900_000_000_000 },
  { holder: 'compute-b', lsn: 0x3000028 as Lsn, until: 1_850_000_000_000 },
];

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-leases-'));
  path = join(directory, 'leases.json');
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (): Leases => new Leases(unsyncedFileSystem, directory);

async function grantTwo(): Promise<void> {
  const leases = open();
  await leases.grant(FIRST, 0);
  await leases.grant(SECOND, 0);
}

test('what was granted is there at the next start', async () => {
  await grantTwo();
  expect(open().active(0)).toEqual([FIRST, SECOND]);
  expect(open().damage).toBeUndefined();
});

test('no bit of the file can change without being noticed', async () => {
  await grantTwo();
  const sound = readFileSync(path);
  let noticed = 0;
  for (let bit = 0; bit < sound.length * 8; bit++) {
    const bytes = Uint8Array.from(sound);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    const leases = new Leases({ ...unsyncedFileSystem, readFile: () => bytes }, directory);
    if (leases.damage === undefined) expect(leases.active(0), `bit ${bit}`).toEqual([FIRST, SECOND]);
    else noticed++;
  }
  // All but those that make white space of the line feed at the end.
  expect(noticed).toBeGreaterThan((sound.length - 1) * 8);
});

test('a file from before it had a checksum is read as it is, and has one once it is written again', async () => {
  const stored = { holder: 'compute-a', lsn: '0/16B3D98', until: FIRST.until };
  writeFileSync(path, `${JSON.stringify({ leases: [stored] })}\n`);
  const leases = open();
  expect(leases.damage).toBeUndefined();
  expect(leases.active(0)).toEqual([FIRST]);
  await leases.grant(SECOND, 0);
  expect(readFileSync(path, 'utf8')).toMatch(/^\{"crc32c":\d+,"body":\{"leases":/);
  expect(open().active(0)).toEqual([FIRST, SECOND]);
});

test('a damaged file is named with what to do, is not written over, and what is granted counts all the same', async () => {
  await grantTwo();
  const damaged = readFileSync(path, 'utf8').replace('0/2000028', '0/2000029');
  writeFileSync(path, damaged);
  const leases = open();
  expect(leases.damage?.message).toBe(
    `the leases cannot be read: the checksum of the list of leases is wrong (${path}). Stop the pageserver and remove ${path} to forget them`,
  );
  expect(leases.active(0)).toEqual([]);
  await leases.grant(THIRD, 0);
  expect(leases.active(0)).toEqual([THIRD]);
  await leases.release(THIRD.holder);
  expect(leases.active(0)).toEqual([]);
  expect(readFileSync(path, 'utf8')).toBe(damaged);
});
