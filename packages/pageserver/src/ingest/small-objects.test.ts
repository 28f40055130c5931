import { CorruptionError, crc32c, lsn, readLsn } from '@zenith/base';
import {
  RM_DBASE_ID,
  RM_RELMAP_ID,
  RM_REPLORIGIN_ID,
  RM_STANDBY_ID,
  RM_TBLSPC_ID,
  RM_XACT_ID,
  RM_XLOG_ID,
  formatOf,
} from '@zenith/pg-format';
import { afterEach, describe, expect, it } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { Head, data } from './head.test-support.ts';
import { decodeTablespace } from './tablespace-location.ts';

const PREPARE = 0x10,
  COMMIT_PREPARED = 0xb0,
  HAS_TWOPHASE = 16;

let head: Head;
afterEach(() => head.close());

/** Main data of a PREPARE of `xid` with one subtransaction. */
function prepared(xid: number, sub: number): Uint8Array {
  const bytes = Buffer.alloc(72 + 8 + 8);
  bytes.writeUInt32LE(0x57f94534, 0);
  bytes.writeUInt32LE(bytes.length + 4, 4);
  bytes.writeUInt32LE(xid, 8);
  bytes.writeInt32LE(1, 28);
  bytes.writeUInt16LE(2, 54);
  bytes.write('g', 72);
  bytes.writeUInt32LE(sub, 80);
  return bytes;
}

describe('prepared transactions', () => {
  it('leave their state file, named by the full xid, until they are finished', async () => {
    head = await Head.create({ nextXid: 0x2_ffff_fff0n });
    const content = prepared(0xffff_fff5, 4);
    await head.add({ rmid: RM_XACT_ID, info: PREPARE, xid: 0xffff_fff5, mainData: content });
    const file = head.small(ObjectKind.twoPhase, 2, 0xffff_fff5) ?? new Uint8Array(0);
    expect(Buffer.from(file.subarray(0, content.length)).equals(content)).toBe(true);
    expect(new DataView(file.buffer).getUint32(content.length, true)).toBe(crc32c(content));
    expect(head.counters().nextXid).toBe(0x3_0000_0005n); // its subtransaction came after the wraparound
    await head.add({
      rmid: RM_XACT_ID,
      info: COMMIT_PREPARED,
      mainData: data([8, 0], [4, HAS_TWOPHASE], [4, 0xffff_fff5]),
    });
    expect(head.small(ObjectKind.twoPhase, 2, 0xffff_fff5)?.length).toBe(0);
  });

  it('are named by the xid alone before 17', async () => {
    head = await Head.create({ nextXid: 0x2_0000_1000n }, { major: 15 });
    await head.add({ rmid: RM_XACT_ID, info: PREPARE, xid: 0x1000, mainData: prepared(0x1000, 0x1001) });
    expect(head.small(ObjectKind.twoPhase, 0, 0x1000)?.length).toBeGreaterThan(0);
  });
});

describe('small objects', () => {
  it('relation maps are replaced as a whole, and must have their size', async () => {
    head = await Head.create();
    const map = new Uint8Array(formatOf(18).relationMapLength).fill(7);
    await head.add({ rmid: RM_RELMAP_ID, info: 0, mainData: data([4, 5], [4, 1663], [4, map.length], map) });
    expect(head.small(ObjectKind.relationMap, 1663, 5)).toEqual(map);
    await expect(
      head.add({ rmid: RM_RELMAP_ID, info: 0, mainData: data([4, 5], [4, 1663], [4, 8], map) }),
    ).rejects.toThrow(CorruptionError);
  });

  it('databases and tablespaces come and go', async () => {
    head = await Head.create();
    await head.add({ rmid: RM_DBASE_ID, info: 0x10, mainData: data([4, 16390], [4, 1663]) });
    expect(Buffer.from(head.small(ObjectKind.database, 1663, 16390) ?? []).toString()).toBe('18\n');
    await head.add({ rmid: RM_DBASE_ID, info: 0x20, mainData: data([4, 16390], [4, 2], [4, 1663], [4, 16400]) });
    expect(head.small(ObjectKind.database, 1663, 16390)?.length).toBe(0);
    await head.add({ rmid: RM_TBLSPC_ID, info: 0, mainData: data([4, 16400], Buffer.from('/srv/fast\0')) });
    expect(Buffer.from(head.small(ObjectKind.tablespace, 16400, 0) ?? []).toString()).toBe('/srv/fast');
    await head.add({ rmid: RM_TBLSPC_ID, info: 0x10, mainData: data([4, 16400]) });
    expect(head.small(ObjectKind.tablespace, 16400, 0)?.length).toBe(0);
    await head.add({ rmid: RM_TBLSPC_ID, info: 0, mainData: data([4, 16401], Buffer.from('\0')) });
    expect(decodeTablespace(head.small(ObjectKind.tablespace, 16401, 0) ?? new Uint8Array())).toBe('');
    expect(head.small(ObjectKind.tablespace, 16401, 0)?.length).toBe(1); // in place, not dropped
    await expect(
      head.add({ rmid: RM_TBLSPC_ID, info: 0, mainData: data([4, 16400], Buffer.from('/srv')) }),
    ).rejects.toThrow(CorruptionError);
  });

  it('replication origins move forward, backward only when they are forced', async () => {
    head = await Head.create();
    const set = (remote: number, force: number): Promise<unknown> =>
      head.add({ rmid: RM_REPLORIGIN_ID, info: 0, mainData: data([8, remote], [2, 3], [1, force]) });
    const progress = (): number => {
      const bytes = head.small(ObjectKind.replicationOrigin, 3, 0) ?? new Uint8Array(0);
      return readLsn(new DataView(bytes.buffer), 0);
    };
    await set(500, 0);
    await set(400, 0);
    expect(progress()).toBe(lsn(500));
    await set(300, 1);
    expect(progress()).toBe(lsn(300));
    await head.add({
      rmid: RM_XACT_ID,
      info: 0x80,
      xid: 1000,
      origin: 3,
      mainData: data([8, 0], [4, 32], [8, 700], [8, 9]),
    });
    expect(progress()).toBe(lsn(700));
    await head.add({ rmid: RM_REPLORIGIN_ID, info: 0x10, mainData: data([2, 3]) });
    expect(head.small(ObjectKind.replicationOrigin, 3, 0)?.length).toBe(0);
  });

  it('oids and the next xid of a running-transactions record count', async () => {
    head = await Head.create();
    await head.add({ rmid: RM_XLOG_ID, info: 0x30, mainData: data([4, 28192]) });
    await head.add({
      rmid: RM_STANDBY_ID,
      info: 0x10,
      mainData: data([4, 0], [4, 0], [4, 0], [4, 1500], [4, 1500], [4, 1499]),
    });
    expect(head.counters()).toMatchObject({ nextOid: 28192, nextXid: 1500n });
  });

  it('records that their resource manager does not have, or that are too short, are bad WAL', async () => {
    head = await Head.create();
    await expect(head.add({ rmid: RM_XLOG_ID, info: 0xf0 })).rejects.toThrow(CorruptionError);
    await expect(head.add({ rmid: RM_XLOG_ID, info: 0x00, mainData: data([8, 0]) })).rejects.toThrow(CorruptionError);
  });
});
