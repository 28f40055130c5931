import { describe, expect, test } from 'vitest';
import {
  advanceNextFullXidPast,
  epochOfFull,
  fullXid,
  fullXidBefore,
  multiPrecedes,
  nextMultiXactId,
  nextXid,
  xidOfFull,
  xidPrecedes,
  xidPrecedesOrEquals,
} from './transaction-id.ts';

describe('transaction ids', () => {
  test('compare on a circle, the special ones as numbers', () => {
    expect(xidPrecedes(3, 4)).toBe(true);
    expect(xidPrecedes(4, 3)).toBe(false);
    expect(xidPrecedes(0xffffffff, 3)).toBe(true);
    expect(xidPrecedes(3, 0x80000002)).toBe(true);
    expect(xidPrecedes(3, 0x80000004)).toBe(false);
    expect(xidPrecedes(2, 0xffffffff)).toBe(true);
    expect(xidPrecedes(0xffffffff, 2)).toBe(false);
    expect(xidPrecedesOrEquals(7, 7)).toBe(true);
    expect(multiPrecedes(0xffffffff, 0)).toBe(true);
    expect(multiPrecedes(0, 0xffffffff)).toBe(false);
  });

  test('advance past the special ones', () => {
    expect(nextXid(0xffffffff)).toBe(3);
    expect(nextXid(3)).toBe(4);
    expect(nextMultiXactId(0xffffffff)).toBe(1);
    expect(nextMultiXactId(1)).toBe(2);
  });

  test('make full ones of epoch and id', () => {
    const full = fullXid(7, 0xfffffff0);
    expect([epochOfFull(full), xidOfFull(full)]).toEqual([7, 0xfffffff0]);
    expect(full).toBe(7n * 2n ** 32n + 0xfffffff0n);
  });

  test.each([
    ['one not yet assigned moves the counter past it', fullXid(2, 100), 200, fullXid(2, 201)],
    ['one before the counter changes nothing', fullXid(2, 100), 99, fullXid(2, 100)],
    ['one of the epoch before changes nothing', fullXid(2, 100), 0xfffffff0, fullXid(2, 100)],
    ['the next one itself', fullXid(2, 100), 100, fullXid(2, 101)],
    ['one after the wrap begins the next epoch', fullXid(2, 0xfffffff0), 5, fullXid(3, 6)],
    ['the last of an epoch leads to the first of the next', fullXid(2, 0xfffffff0), 0xffffffff, fullXid(3, 3)],
    ['a special one changes nothing', fullXid(2, 0xfffffff0), 0, fullXid(2, 0xfffffff0)],
    ['the frozen one changes nothing', fullXid(0, 100), 2, fullXid(0, 100)],
  ])('counter: %s', (_, next, xid, expected) => {
    expect(advanceNextFullXidPast(next, xid)).toBe(expected);
  });

  test('are of this epoch or of the one before', () => {
    expect(fullXidBefore(fullXid(5, 1000), 999)).toBe(fullXid(5, 999));
    expect(fullXidBefore(fullXid(5, 1000), 0xffffff00)).toBe(fullXid(4, 0xffffff00));
    expect(fullXidBefore(fullXid(5, 1000), 2)).toBe(2n);
  });
});
