import { lsn } from '@zenith/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecentWal } from './recent-wal.ts';

/** The byte a test's WAL has at `position`. */
function byteAt(position: number): number {
  return (position * 7 + (position >> 8)) & 0xff;
}

function fill(wal: RecentWal, length: number): void {
  const bytes = new Uint8Array(length + 3);
  for (let i = 0; i < bytes.length; i++) bytes[i] = byteAt(wal.endLsn + i - 3);
  wal.append(bytes, 3, length);
}

describe('RecentWal', () => {
  it('gives back what was appended, in pieces of at most the size asked for', () => {
    const holds = fc.check(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300_000 }), { maxLength: 6 }),
        fc.integer({ min: 5_000, max: 400_000 }),
        (appends, pieceMax) => {
          const wal = new RecentWal(lsn(1000), 64 * 1024 * 1024);
          for (const length of appends) fill(wal, length);
          const end = 1000 + appends.reduce((sum, length) => sum + length, 0);
          if (wal.endLsn !== end) return false;
          for (let at = 1000; at < end;) {
            const piece = wal.read(lsn(at), pieceMax);
            if (piece === undefined || piece.length === 0 || piece.length > pieceMax) return false;
            if (piece[0] !== byteAt(at) || piece[piece.length - 1] !== byteAt(at + piece.length - 1)) return false;
            at += piece.length;
          }
          return true;
        },
      ),
      { numRuns: 20 },
    );
    expect(fc.defaultReportMessage(holds)).toBeUndefined(); // it is the counterexample otherwise
  });

  it('drops the oldest bytes beyond its bound and says so', () => {
    const wal = new RecentWal(lsn(0), 512 * 1024);
    fill(wal, 2_000_000);
    expect(wal.startLsn).toBeGreaterThan(0);
    expect(wal.endLsn - wal.startLsn).toBeLessThanOrEqual(512 * 1024);
    expect(wal.read(lsn(0), 10)).toBeUndefined();
    expect([...(wal.read(wal.startLsn, 1) ?? [])]).toEqual([byteAt(wal.startLsn)]);
  });

  it('leaves bytes it gave out unchanged while it goes on', () => {
    const wal = new RecentWal(lsn(0), 1);
    fill(wal, 100);
    const held = wal.read(lsn(0), 100) as Uint8Array;
    fill(wal, 3_000_000);
    expect([...held]).toEqual(Array.from({ length: 100 }, (_, i) => byteAt(i)));
  });
});
