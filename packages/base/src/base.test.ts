import { describe, expect, test } from 'vitest';
import {
  CorruptionError,
  ZenithError,
  assert,
  crc32c,
  crc32cOfView,
  formatLsn,
  lsn,
  newTimelineId,
  parseLsn,
  parseTenantId,
  readLsn,
  readLsnBigEndian,
  writeLsn,
  writeLsnBigEndian,
} from './index.ts';

describe('an LSN', () => {
  test('has the text form of PostgreSQL', () => {
    expect(formatLsn(lsn(0x16b3d98))).toBe('0/16B3D98');
    expect(formatLsn(lsn(0x1_0000_0000 * 0x1f + 0xa))).toBe('1F/A');
    expect(parseLsn('1f/0000000A')).toBe(0x1_0000_0000 * 0x1f + 0xa);
  });

  test.each(['', '0', '0/', '/0', '0/G', '0/123456789', '0x1/2', '200000/0', ' 0/1'])('is not %j', (text) => {
    expect(() => parseLsn(text)).toThrow(ZenithError);
  });

  test('travels through bytes in both orders up to 2^53 - 1', () => {
    const view = new DataView(new ArrayBuffer(16));
    for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
      writeLsn(view, 3, lsn(value));
      expect(readLsn(view, 3)).toBe(value);
      expect(view.getBigUint64(3, true)).toBe(BigInt(value));
      writeLsnBigEndian(view, 3, lsn(value));
      expect(readLsnBigEndian(view, 3)).toBe(value);
      expect(view.getBigUint64(3, false)).toBe(BigInt(value));
    }
  });
});

describe('CRC-32C', () => {
  test('has the check value of the polynomial', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  test('is the same by table and by library, whole or continued', () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 131) & 0xff);
    const whole = crc32c(bytes);
    for (const cut of [1, 7, 63, 64, 500, 937, 999])
      expect(crc32c(bytes, cut, 1000, crc32c(bytes, 0, cut))).toBe(whole);
    let byByte = 0;
    for (let i = 0; i < bytes.length; i++) byByte = crc32c(bytes, i, i + 1, byByte);
    expect(byByte).toBe(whole);
  });

  test('is the same of a view, from any place on and of any length', () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 131) & 0xff);
    const view = new DataView(bytes.buffer, 3);
    for (let length = 0; length < 450; length++) {
      const start = length % 11;
      const previous = length % 2 === 0 ? 0 : 0xfedcba98;
      expect(crc32cOfView(view, start, start + length, previous | 0) >>> 0).toBe(
        crc32c(bytes, 3 + start, 3 + start + length, previous),
      );
    }
    expect(() => crc32cOfView(view, 990, 1000, 0)).toThrow(RangeError);
    expect(() => crc32cOfView(view, 500, 1000, 0)).toThrow(RangeError);
  });
});

test('ids are 32 hexadecimal digits, lower case, and random', () => {
  expect(newTimelineId()).toMatch(/^[0-9a-f]{32}$/);
  expect(newTimelineId()).not.toBe(newTimelineId());
  expect(parseTenantId('AB'.repeat(16))).toBe('ab'.repeat(16));
  expect(() => parseTenantId('../../etc')).toThrow(/not a tenant id/);
});

test('a corruption says where', () => {
  expect(new CorruptionError('wrong magic', { source: 'index.json', offset: 12 }).message).toBe(
    'wrong magic (index.json at byte 12)',
  );
});

test('an assertion dies with its text', () => {
  expect(() => assert(Number('1') === 2, 'one is two')).toThrow('one is two');
});
