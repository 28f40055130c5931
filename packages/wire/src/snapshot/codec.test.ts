import { CorruptionError, lsn, type SystemId } from '@zenith/base';
import { describe, expect, it } from 'vitest';
import { decodeSnapshot, encodeSnapshotHeader, type SnapshotPart } from './codec.ts';
import type { SnapshotManifest } from './manifest.ts';

const manifest: SnapshotManifest = {
  lsn: lsn(0x16b3d98),
  pgMajor: 18,
  systemId: '7512345678901234567' as SystemId,
  checkpoint: {
    nextXid: 0x1_0000_02e7n,
    nextOid: 24576,
    nextMulti: 1,
    nextMultiOffset: 0,
    oldestXid: 731,
    oldestXidDb: 1,
    oldestMulti: 1,
    oldestMultiDb: 1,
    oldestCommitTsXid: 0,
    newestCommitTsXid: 0,
    walLevel: 1,
  },
  databases: [{ spc: 1663, db: 5 }],
  tablespaces: [{ oid: 16400, location: '/srv/fast' }],
  relations: [
    { spc: 1663, db: 5, rel: 1259, fork: 0, blocks: 14 },
    { spc: 1664, db: 0, rel: 1262, fork: 2, blocks: 1 },
  ],
  files: [
    { path: 'PG_VERSION', size: 3 },
    { path: 'pg_xact/0000', size: 8192 },
    { path: 'empty', size: 0 },
  ],
};

const files = [new TextEncoder().encode('18\n'), new Uint8Array(8192).fill(0x55), new Uint8Array(0)];

function encode(value: SnapshotManifest = manifest, bytes: readonly Uint8Array[] = files): Uint8Array {
  return Buffer.concat([encodeSnapshotHeader(value), ...bytes]);
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

async function decode(bytes: Uint8Array, size = bytes.length): Promise<SnapshotPart[]> {
  const parts: SnapshotPart[] = [];
  for await (const part of decodeSnapshot(chunks(bytes, size))) parts.push(part);
  return parts;
}

describe('snapshot codec', () => {
  it.each([1, 7, 1000, 1_000_000])('gives back what was encoded, in chunks of %i bytes', async (size) => {
    const [first, ...rest] = await decode(encode(), size);
    expect(first).toEqual({ kind: 'manifest', manifest });
    expect(rest).toEqual(
      manifest.files.map((file, i) => ({ kind: 'file', file, bytes: Uint8Array.from(files[i] as Uint8Array) })),
    );
  });

  it('refuses every truncation', async () => {
    const bytes = encode();
    for (const length of [0, 4, 7, 8, 100, bytes.length - 8192, bytes.length - 1]) {
      await expect(decode(bytes.subarray(0, length), 512)).rejects.toThrow(CorruptionError);
    }
  });

  it('refuses bytes after the last file', async () => {
    await expect(decode(Buffer.concat([encode(), new Uint8Array(1)]))).rejects.toThrow(/goes on/);
  });

  it('refuses a wrong magic and a manifest above the bound without reading it', async () => {
    const wrong = encode();
    wrong[0] = 0;
    await expect(decode(wrong)).rejects.toThrow(/magic/);
    const long = encode();
    long.set([0xff, 0xff, 0xff, 0xff], 4);
    await expect(decode(long)).rejects.toThrow(/bound/);
  });

  it.each(['../outside', '/etc/passwd', 'a//b', 'a/./b', '', 'a\0b', 'x'.repeat(300)])(
    'refuses the path %j',
    async (path) => {
      await expect(decode(encode({ ...manifest, files: [{ path, size: 0 }] }, []))).rejects.toThrow(/not a path/);
    },
  );

  it('refuses numbers that do not fit their field', async () => {
    for (const blocks of [-1, 1.5, 2 ** 32, Number.NaN]) {
      const relations = [{ spc: 1, db: 1, rel: 1, fork: 0, blocks }];
      await expect(decode(encode({ ...manifest, relations }))).rejects.toThrow(/32-bit/);
    }
  });
});
