import { CorruptionError, lsn, type Lsn, type SystemId } from '@zenith/base';
import { RM_XLOG_ID, WalStreamEncoder, XLOG_SWITCH } from '@zenith/pg-format';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWalTail } from './wal-tail.ts';

const SEGMENT = 1024 * 1024;
const MAJOR = 18;
/** A logical message: the simplest record with a body of any length. */
const RM_LOGICALMSG_ID = 21;

interface Encoded {
  readonly startLsn: Lsn;
  readonly bytes: Uint8Array;
  readonly records: readonly { readonly lsn: Lsn; readonly endLsn: Lsn }[];
}

/** WAL of records with bodies of these lengths; a negative one is a switch to the next segment. */
function encode(startLsn: Lsn, lengths: readonly number[]): Encoded {
  const encoder = new WalStreamEncoder(MAJOR, startLsn, {
    systemId: '7512345678901234567' as SystemId,
    previousLsn: lsn(8),
    segmentSize: SEGMENT,
  });
  const records = lengths.map((length) =>
    encoder.append(
      length < 0
        ? { rmid: RM_XLOG_ID, info: XLOG_SWITCH }
        : { rmid: RM_LOGICALMSG_ID, info: 0, mainData: new Uint8Array(length).fill(0x5a) },
    ),
  );
  return { startLsn, bytes: Uint8Array.from(encoder.bytes), records };
}

/** Reads the WAL's tail and counts the bytes it took. */
async function tailOf(
  { startLsn, bytes }: Encoded,
  endLsn: Lsn,
  floorLsn: Lsn = startLsn,
): Promise<{ previousRecordLsn: Lsn; pagePrefix: Uint8Array; bytesRead: number }> {
  let bytesRead = 0;
  const tail = await readWalTail({
    major: MAJOR,
    segmentSize: SEGMENT,
    endLsn,
    floorLsn,
    read: async (from, to) => {
      if (from < floorLsn || to > endLsn) throw new Error('read outside of what there is');
      bytesRead += to - from;
      return bytes.subarray(from - startLsn, to - startLsn);
    },
  });
  return { ...tail, bytesRead };
}

const someLengths = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 500 }) },
    { weight: 2, arbitrary: fc.integer({ min: 7_000, max: 60_000 }) },
    { weight: 1, arbitrary: fc.constant(-1) },
  ),
  { minLength: 1, maxLength: 30 },
);

describe('the tail of WAL', () => {
  it('begins with the last record before X and holds the page of X, wherever X and the beginning of the timeline lie', async () => {
    await fc.assert(
      fc.asyncProperty(someLengths, fc.integer({ min: 5, max: 3000 }), async (lengths, start) => {
        const offset = start % 1024;
        const startLsn = lsn(SEGMENT * 3 + 8192 * (start >> 10) + (offset < 5 ? 0 : offset * 8));
        const wal = encode(startLsn, lengths);
        const last = wal.records.at(-1) as { lsn: Lsn; endLsn: Lsn };
        const tail = await tailOf(wal, last.endLsn);
        expect(tail.previousRecordLsn).toBe(last.lsn);
        const page = last.endLsn - (last.endLsn % 8192);
        const expected = new Uint8Array(last.endLsn - page);
        const known = Math.min(expected.length, last.endLsn - startLsn);
        expected.set(wal.bytes.subarray(wal.bytes.length - known), expected.length - known);
        expect(Buffer.from(tail.pagePrefix).equals(expected)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('is found without reading all of a long WAL', async () => {
    const wal = encode(
      lsn(SEGMENT),
      Array.from({ length: 4000 }, () => 200),
    );
    const last = wal.records.at(-1) as { lsn: Lsn; endLsn: Lsn };
    const tail = await tailOf(wal, last.endLsn);
    expect(tail.previousRecordLsn).toBe(last.lsn);
    expect(tail.bytesRead).toBeLessThanOrEqual(4 * 8192);
  });

  it('is found behind a record that is longer than the first looks back', async () => {
    const wal = encode(lsn(SEGMENT + 40), [100, 100, 900_000]);
    const last = wal.records.at(-1) as { lsn: Lsn; endLsn: Lsn };
    expect((await tailOf(wal, last.endLsn)).previousRecordLsn).toBe(last.lsn);
  });

  it('is found behind the zeroes that follow a switch', async () => {
    const wal = encode(lsn(SEGMENT + 40), [100, 100, -1]);
    const last = wal.records.at(-1) as { lsn: Lsn; endLsn: Lsn };
    expect(last.endLsn % SEGMENT).toBe(0);
    const tail = await tailOf(wal, last.endLsn);
    expect(tail.previousRecordLsn).toBe(last.lsn);
    expect(tail.pagePrefix).toHaveLength(0);
  });

  it('is refused where no record ends at X', async () => {
    const wal = encode(lsn(SEGMENT + 40), [100, 300, 100]);
    const middle = lsn((wal.records[1]?.lsn ?? 0) + 64);
    await expect(tailOf(wal, middle)).rejects.toThrow(CorruptionError);
  });

  it('is refused where its bytes are damaged', async () => {
    const wal = encode(lsn(SEGMENT + 40), [100, 300, 100]);
    const last = wal.records.at(-1) as { lsn: Lsn; endLsn: Lsn };
    wal.bytes.fill(0, (wal.records[1]?.lsn ?? 0) - wal.startLsn, (wal.records[1]?.lsn ?? 0) - wal.startLsn + 24);
    await expect(tailOf(wal, last.endLsn)).rejects.toThrow(CorruptionError);
  });
});
