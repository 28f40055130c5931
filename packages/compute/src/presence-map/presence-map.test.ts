import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AssertionError, CorruptionError, lsn, newTenantId, newTimelineId } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import {
  PresenceMapBuilder,
  REQUEST_DEADLINE_MS_DEFAULT,
  writePresenceMap,
  type PresenceMapOptions,
} from './builder.ts';
import { HeaderOffset, SLOT_LENGTH, HEADER_LENGTH, SlotOffset } from './layout.ts';
import { PresenceMap, readPresenceMap } from './reader.ts';

const OPTIONS: PresenceMapOptions = {
  tenant: newTenantId(),
  timeline: newTimelineId(),
  lsn: lsn(0x12_3456_789a),
  address: { kind: 'tcp', host: '::1', port: 64_000 },
  pgdata: '/srv/zenith/pgdata',
};
const TABLE = { spc: 1663, db: 5, rel: 16_384, fork: 0 };

function build(...relations: [{ spc: number; db: number; rel: number; fork: number }, number][]): Uint8Array {
  const builder = new PresenceMapBuilder(OPTIONS);
  for (const [relation, blocks] of relations) builder.addRelation(relation, blocks);
  return builder.build();
}

describe('the presence map', () => {
  it('gives back what it was made with', () => {
    const map = new PresenceMap(build([TABLE, 10]), 'test');
    expect(map).toMatchObject({
      tenant: OPTIONS.tenant,
      timeline: OPTIONS.timeline,
      lsn: OPTIONS.lsn,
      address: 'tcp:[::1]:64000',
      pgdata: OPTIONS.pgdata,
      requestDeadlineMs: REQUEST_DEADLINE_MS_DEFAULT,
      readaheadBlocks: 128,
      counters: { requests: 0, blocksFetched: 0, blocksInstalled: 0, waitedUs: 0, reconnects: 0, failures: 0 },
    });
    expect([...map.segments()]).toEqual([
      { ...TABLE, segment: 0, live: true, blocks: 10, remoteBlocks: 10, missing: 10 },
    ]);
  });

  it('splits a fork where PostgreSQL splits its files', () => {
    const map = new PresenceMap(build([TABLE, 2 * 131_072 + 3]), 'test');
    expect([...map.segments()].map(({ segment, blocks }) => [segment, blocks]).sort()).toEqual([
      [0, 131_072],
      [1, 131_072],
      [2, 3],
    ]);
    expect(map.missingBlocks()).toBe(262_147);
    expect([0, 131_071, 262_143, 262_146, 262_147].map((block) => map.isMissing(TABLE, block))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  it('has a bit for every block and for no other', () => {
    for (const blocks of [1, 7, 8, 9, 63, 64, 65, 1000]) {
      const map = new PresenceMap(build([TABLE, blocks], [{ ...TABLE, fork: 2 }, 1]), 'test');
      for (let block = 0; block < blocks; block++) expect(map.isMissing(TABLE, block)).toBe(true);
      expect(map.isMissing(TABLE, blocks)).toBe(false);
      expect(map.isMissing({ ...TABLE, fork: 2 }, 0)).toBe(true);
      expect(map.isMissing({ ...TABLE, fork: 2 }, 1)).toBe(false);
      expect(map.isMissing({ ...TABLE, rel: 16_385 }, 0)).toBe(false);
    }
  });

  it('needs no entry for an empty fork', () => {
    expect([...new PresenceMap(build([TABLE, 0]), 'test').segments()]).toEqual([]);
  });

  it('finds each of many segments', () => {
    const relations = Array.from({ length: 3000 }, (_, i): [typeof TABLE, number] => [
      { ...TABLE, db: 5 + (i % 7), rel: 16_384 + i * 3, fork: [0, 2, 3][i % 3] ?? 0 },
      (i % 9) + 1,
    ]);
    const map = new PresenceMap(build(...relations), 'test');
    for (const [relation, blocks] of relations)
      expect([map.isMissing(relation, blocks - 1), map.isMissing(relation, blocks)]).toEqual([true, false]);
  });

  it('refuses what a caller must not do', () => {
    expect(() => build([TABLE, 1], [TABLE, 1])).toThrow(AssertionError);
    expect(() => build([{ ...TABLE, fork: 1 }, 1])).toThrow(AssertionError);
    expect(() => new PresenceMapBuilder({ ...OPTIONS, pgdata: 'data' })).toThrow(AssertionError);
    expect(() => new PresenceMapBuilder({ ...OPTIONS, pgdata: `/${'x'.repeat(4000)}` }).build()).toThrow(
      AssertionError,
    );
    expect(() => new PresenceMapBuilder({ ...OPTIONS, readaheadBlocks: 129 }).build()).toThrow(AssertionError);
    expect(() => new PresenceMapBuilder({ ...OPTIONS, requestDeadlineMs: 0 }).build()).toThrow(AssertionError);
  });

  it('is a private file that is never overwritten', () => {
    const directory = temporaryDirectory();
    try {
      const path = join(directory.path, 'presence.map');
      const bytes = build([TABLE, 100]);
      writePresenceMap(path, bytes);
      expect(statSync(path)).toMatchObject({ size: bytes.length });
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readPresenceMap(path).missingBlocks()).toBe(100);
      expect(() => writePresenceMap(path, bytes)).toThrow('EEXIST');
    } finally {
      directory.remove();
    }
  });

  it('is refused when it is damaged', () => {
    const damage = (offset: number, value: number): (() => PresenceMap) => {
      const bytes = build([TABLE, 100]);
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(offset, value, true);
      return () => new PresenceMap(bytes, 'test');
    };
    for (const name of ['magic', 'version', 'slotCapacity', 'fileLength'] as const)
      expect(damage(HeaderOffset[name], 77)).toThrow(CorruptionError);
    expect(() => new PresenceMap(new Uint8Array(100), 'test')).toThrow(CorruptionError);
    const bytes = build([TABLE, 100]);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let slot = HEADER_LENGTH; slot < HEADER_LENGTH + 16 * SLOT_LENGTH; slot += SLOT_LENGTH)
      if (view.getUint32(slot + SlotOffset.state, true) !== 0)
        view.setUint32(slot + SlotOffset.bitmapOffset, bytes.length, true);
    expect(() => new PresenceMap(bytes, 'test').isMissing(TABLE, 3)).toThrow(CorruptionError);
  });
});
