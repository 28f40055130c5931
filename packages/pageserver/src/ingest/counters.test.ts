import { encodeCheckPoint, decodeCheckPoint, type CheckPoint } from '@zenith/pg-format';
import { INVALID_LSN } from '@zenith/base';
import { describe, expect, it } from 'vitest';
import { ClusterCounters } from './counters.ts';

const BASE: CheckPoint = {
  redo: INVALID_LSN,
  pgTimeline: 1,
  previousPgTimeline: 1,
  fullPageWrites: false,
  walLevel: 1,
  nextXid: 1000n,
  nextOid: 20000,
  nextMulti: 10,
  nextMultiOffset: 100,
  oldestXid: 731,
  oldestXidDb: 1,
  oldestMulti: 1,
  oldestMultiDb: 1,
  time: 5,
  oldestCommitTsXid: 0,
  newestCommitTsXid: 0,
  oldestActiveXid: 0,
};

function encode(change: Partial<CheckPoint> = {}): Uint8Array {
  const bytes = new Uint8Array(88);
  encodeCheckPoint(18, { ...BASE, ...change }, new DataView(bytes.buffer), 0);
  return bytes;
}

function decode(counters: ClusterCounters): CheckPoint {
  const { bytes } = counters;
  return decodeCheckPoint(18, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

describe('counters', () => {
  it('go past every xid that is seen, and say so once', () => {
    const counters = new ClusterCounters(encode());
    counters.advancePastXid(999);
    expect(counters.changed).toBe(false);
    counters.advancePastXid(1000);
    expect(counters.changed).toBe(true);
    expect(decode(counters).nextXid).toBe(1001n);
    counters.advancePastXid(5000);
    expect(decode(counters).nextXid).toBe(5001n);
  });

  it('begin a new epoch when the xid counter wraps around, and leave out the special xids', () => {
    const counters = new ClusterCounters(encode({ nextXid: 0xffff_fff0n }));
    counters.advancePastXid(0xffff_ffff);
    expect(decode(counters).nextXid).toBe(0x1_0000_0003n);
    expect(counters.epochOf(0xffff_ffff)).toBe(0);
    counters.advancePastXid(7);
    expect(decode(counters).nextXid).toBe(0x1_0000_0008n);
    expect(counters.epochOf(7)).toBe(1);
    for (const special of [0, 1, 2]) counters.advancePastXid(special);
    expect(decode(counters).nextXid).toBe(0x1_0000_0008n);
  });

  it('wrap around in one step when the xid that is seen lies behind the wrap', () => {
    const counters = new ClusterCounters(encode({ nextXid: 0x5_ffff_ff00n }));
    counters.advancePastXid(20);
    expect(decode(counters).nextXid).toBe(0x6_0000_0015n);
  });

  it('believe a shutdown checkpoint exactly, also backwards', () => {
    const counters = new ClusterCounters(encode({ nextOid: 30000 }));
    counters.setFromShutdownCheckpoint(viewOf(encode({ nextXid: 900n, nextOid: 16384, nextMulti: 3 })), 0);
    expect(decode(counters)).toEqual({ ...BASE, nextXid: 900n, nextOid: 16384, nextMulti: 3 });
    counters.advancePastXid(900);
    expect(decode(counters).nextXid).toBe(901n);
  });

  it('take an online checkpoint for minima and ignore its oids', () => {
    const counters = new ClusterCounters(encode({ nextXid: 0x1_0000_0010n, nextMulti: 50 }));
    counters.advanceFromOnlineCheckpoint(
      viewOf(
        encode({
          nextXid: 0xffff_ffffn,
          nextMulti: 40,
          nextMultiOffset: 400,
          nextOid: 99999,
          oldestXid: 800,
          oldestXidDb: 7,
          time: 77,
        }),
      ),
      0,
    );
    expect(decode(counters)).toEqual({
      ...BASE,
      nextXid: 0x1_0000_0010n,
      nextMulti: 50,
      nextMultiOffset: 400,
      oldestXid: 800,
      oldestXidDb: 7,
      time: 77,
    });
    counters.advanceFromOnlineCheckpoint(viewOf(encode({ nextXid: 0x2_0000_0000n })), 0);
    expect(decode(counters).nextXid).toBe(0x2_0000_0000n);
  });

  it('raise the oldest ids only forward, modulo 2^32', () => {
    const counters = new ClusterCounters(encode({ oldestXid: 0xf000_0000, oldestMulti: 0xf000_0000 }));
    counters.advanceOldestXid(100, 9);
    counters.advanceOldestMulti(200, 9);
    counters.advanceOldestXid(0xf000_0000, 1);
    counters.advanceOldestMulti(0xf000_0000, 1);
    expect(decode(counters)).toMatchObject({ oldestXid: 100, oldestXidDb: 9, oldestMulti: 200, oldestMultiDb: 9 });
  });
});
