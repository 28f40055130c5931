import { CorruptionError, lsn } from '@zenith/base';
import {
  HEAPBLOCKS_PER_VISIBILITYMAP_PAGE,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  VISIBILITYMAP_ALL_FROZEN,
  VISIBILITYMAP_VALID_BITS,
  allocatePage,
  initPage,
  pageLsn,
  type Page,
} from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { BoundedView } from '../fuzz/bounded-view.test-support.ts';
import {
  OperationKind,
  appendCommitTimestamp,
  appendMultixactMember,
  appendMultixactOffset,
  appendTransaction,
  appendVisibilityMapClear,
  applyOperation,
  encodeVisibilityMapTruncate,
  nextMemberOffset,
  startCommitTimestamps,
  startMultixactMembers,
  startMultixactOffsets,
  startTransactionStatus,
  startVisibilityMapClear,
  visibilityMapBits,
} from '../index.ts';

const out = new DataView(new ArrayBuffer(4096));
const AT = 100;
const AROUND = 32;

function apply(page: Page, end: number): void {
  applyOperation(out, AT, end - AT, page, lsn(0x5000));
}

function fullMap(): Page {
  const page = allocatePage();
  initPage(page);
  page.bytes.fill(0xff, 24);
  return page;
}

describe('visibility map operations', () => {
  it('clear the named bits of the named heap blocks, keep all others and set no LSN', () => {
    const page = fullMap();
    const first = 3 * HEAPBLOCKS_PER_VISIBILITYMAP_PAGE;
    let end = startVisibilityMapClear(out, AT);
    end = appendVisibilityMapClear(out, end, first + 5, VISIBILITYMAP_VALID_BITS);
    end = appendVisibilityMapClear(out, end, first + 6, VISIBILITYMAP_ALL_FROZEN);
    apply(page, end);
    expect([4, 5, 6, 7].map((block) => visibilityMapBits(page, first + block))).toEqual([3, 0, 1, 3]);
    expect(page.bytes.subarray(24).filter((byte) => byte !== 0xff)).toHaveLength(1);
    expect(pageLsn(page)).toBe(0);
  });

  it('leave a page that was never initialised as it is', () => {
    const page = allocatePage();
    apply(page, appendVisibilityMapClear(out, startVisibilityMapClear(out, AT), 17, VISIBILITYMAP_VALID_BITS));
    expect(page.bytes.every((byte) => byte === 0)).toBe(true);
  });

  it('cut a map page off at the first heap block that is no more', () => {
    const page = fullMap();
    apply(page, encodeVisibilityMapTruncate(out, AT, HEAPBLOCKS_PER_VISIBILITYMAP_PAGE + 10));
    expect(
      [0, 9, 10, 11, 12, HEAPBLOCKS_PER_VISIBILITYMAP_PAGE - 1].map((block) => visibilityMapBits(page, block)),
    ).toEqual([3, 3, 0, 0, 0, 0]);
  });

  it('are refused when they name no visibility map bit', () => {
    expect(() => apply(fullMap(), appendVisibilityMapClear(out, startVisibilityMapClear(out, AT), 1, 0))).toThrow(
      CorruptionError,
    );
    expect(() => apply(fullMap(), appendVisibilityMapClear(out, startVisibilityMapClear(out, AT), 1, 4))).toThrow(
      CorruptionError,
    );
  });
});

describe('commit log operations', () => {
  it('set the status of every transaction of a page and of no other', () => {
    const page = allocatePage();
    let end = startTransactionStatus(out, AT, TRANSACTION_STATUS_COMMITTED);
    for (const xid of [32768, 32769, 65535]) end = appendTransaction(out, end, xid);
    apply(page, end);
    apply(page, appendTransaction(out, startTransactionStatus(out, AT, TRANSACTION_STATUS_ABORTED), 32770));
    expect([...page.bytes.subarray(0, 2)]).toEqual([0b10_01_01, 0]);
    expect(page.bytes[8191]).toBe(0b01_00_00_00);
  });

  it('turn a sub-committed transaction into a committed one', () => {
    const page = allocatePage();
    page.bytes[0] = 0b11_11_11_11;
    apply(page, appendTransaction(out, startTransactionStatus(out, AT, TRANSACTION_STATUS_COMMITTED), 1));
    expect(page.bytes[0]).toBe(0b11_11_01_11);
  });

  it('are refused for a status that no record sets', () => {
    const end = appendTransaction(out, startTransactionStatus(out, AT, 3 as 1), 1);
    expect(() => apply(allocatePage(), end)).toThrow(/transaction status 3/);
  });
});

describe('multixact operations', () => {
  it('set member offsets', () => {
    const page = allocatePage();
    apply(
      page,
      appendMultixactOffset(
        out,
        appendMultixactOffset(out, startMultixactOffsets(out, AT), 2048 + 7, 55),
        2048 + 8,
        58,
      ),
    );
    expect([page.view.getUint32(28, true), page.view.getUint32(32, true), page.view.getUint32(36, true)]).toEqual([
      55, 58, 0,
    ]);
  });

  it('put members into groups of four, flags first', () => {
    const page = allocatePage();
    let end = startMultixactMembers(out, AT, 1636 + 3);
    end = appendMultixactMember(out, end, 700, 1);
    end = appendMultixactMember(out, end, 0xffff_fffe, 5);
    apply(page, end);
    expect([...page.bytes.subarray(0, 4)]).toEqual([0, 0, 0, 1]);
    expect(page.view.getUint32(16, true)).toBe(700);
    expect([...page.bytes.subarray(20, 24)]).toEqual([5, 0, 0, 0]);
    expect(page.view.getUint32(24, true)).toBe(0xffff_fffe);
  });

  it('are refused beyond the end of their page', () => {
    const last = appendMultixactMember(out, startMultixactMembers(out, AT, 1635), 700, 1);
    expect(() => apply(allocatePage(), last)).not.toThrow();
    const beyond = appendMultixactMember(
      out,
      appendMultixactMember(out, startMultixactMembers(out, AT, 1635), 700, 1),
      701,
      1,
    );
    expect(() => apply(allocatePage(), beyond)).toThrow(CorruptionError);
    expect(() => apply(allocatePage(), appendMultixactMember(out, startMultixactMembers(out, AT, 0), 700, 6))).toThrow(
      /status 6/,
    );
  });

  it('skip member offset 0, which means that none is set', () => {
    expect([nextMemberOffset(5, 3), nextMemberOffset(0xffff_fffe, 2), nextMemberOffset(0xffff_fffe, 3)]).toEqual([
      8, 1, 1,
    ]);
  });
});

describe('commit timestamp operations', () => {
  it('set time and origin of every transaction', () => {
    const page = allocatePage();
    let end = startCommitTimestamps(out, AT, 0x89ab_cdef, 0x0123_4567, 9);
    end = appendCommitTimestamp(out, appendCommitTimestamp(out, end, 819), 819 + 818);
    apply(page, end);
    for (const position of [0, 8180])
      expect([page.view.getBigUint64(position, true), page.view.getUint16(position + 8, true)]).toEqual([
        0x0123_4567_89ab_cdefn,
        9,
      ]);
    expect(page.bytes.subarray(10, 8180).every((byte) => byte === 0)).toBe(true);
  });
});

describe('operations in general', () => {
  it('are not read behind their end when they are cut short', () => {
    const bytes = new Uint8Array(64);
    for (const kind of Object.values(OperationKind)) {
      bytes[AROUND] = kind;
      for (let length = 1; length < 12; length++) {
        const view = new BoundedView(bytes, AROUND, AROUND + length, false);
        try {
          applyOperation(view, AROUND, length, allocatePage(), lsn(0x5000));
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptionError);
        }
      }
    }
  });

  it('are refused when they are unknown, empty or cut short, with the place', () => {
    out.setUint8(AT, 99);
    expect(() => applyOperation(out, AT, 5, allocatePage(), lsn(0x5000))).toThrow(
      /unknown kind of page operation 99.*operation at LSN 0\/5000 at byte 100/,
    );
    expect(() => applyOperation(out, AT, 1, allocatePage(), lsn(0x5000))).toThrow(CorruptionError);
    expect(() => applyOperation(out, 4090, 10, allocatePage(), lsn(0x5000))).toThrow(CorruptionError);
    const end = appendMultixactOffset(out, startMultixactOffsets(out, AT), 7, 55);
    expect(() => applyOperation(out, AT, end - AT - 1, allocatePage(), lsn(0x5000))).toThrow(
      /no list of entries of 6 bytes/,
    );
    expect(() => applyOperation(out, AT, startMultixactOffsets(out, AT) - AT, allocatePage(), lsn(0x5000))).toThrow(
      CorruptionError,
    );
  });
});
