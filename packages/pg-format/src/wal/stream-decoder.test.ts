import { describe, expect, test } from 'vitest';
import { type Lsn, type SystemId } from '@zenith/base';
import { WalRecord } from './record.ts';
import { SEGMENT_SIZE, SYSTEM_ID } from './record-arbitraries.test-support.ts';
import { RM_HEAP_ID, RM_XLOG_ID } from './resource-managers.ts';
import { sealRecord, type RecordSpec } from './encode-record.ts';
import { WalStreamDecoder, type WalEnd } from './stream-decoder.ts';
import { WalStreamEncoder } from './stream-encoder.ts';
import { XLOG_SWITCH } from './xlog-records.ts';

const options = { systemId: SYSTEM_ID, segmentSize: SEGMENT_SIZE };
const start = SEGMENT_SIZE as Lsn;
const heap = (length: number): RecordSpec => ({
  rmid: RM_HEAP_ID,
  info: 0,
  xid: 7,
  mainData: new Uint8Array(length).fill(1),
});

/** A stream of three records, the second of them over several pages, changed by `damage`. */
function endOf(
  damage: (bytes: Uint8Array, view: DataView) => void,
  settings: { systemId?: SystemId; segmentSize?: number } = options,
): { end: WalEnd | undefined; count: number; position: number } {
  const encoder = new WalStreamEncoder(18, start, options);
  encoder.append(heap(100));
  encoder.append(heap(30_000));
  encoder.append(heap(100));
  const bytes = encoder.bytes.slice();
  damage(bytes, new DataView(bytes.buffer));
  const decoder = new WalStreamDecoder(18, start, settings);
  const record = new WalRecord();
  decoder.push(bytes);
  let count = 0;
  while (decoder.next(record)) count++;
  return { end: decoder.end, count, position: decoder.position };
}

// The first record begins at 40 and has 24 + 2 + 100 bytes, the second one begins at 168.
const FIRST = 40;
const SECOND = 168;

describe('the end of the WAL', () => {
  test('undamaged, there is none', () => {
    expect(endOf(() => undefined)).toMatchObject({ end: undefined, count: 3 });
  });

  test.each<[string, WalEnd['reason'], number, number, (bytes: Uint8Array, view: DataView) => void]>([
    ['zeroes where a record should begin', 'never-written', SECOND, 1, (bytes) => void bytes.fill(0, SECOND)],
    ['a length below that of a header', 'record-header', SECOND, 1, (_, view) => view.setUint32(SECOND, 23, true)],
    ['a length above the limit', 'record-header', SECOND, 1, (_, view) => view.setUint32(SECOND, 0x7fffffff, true)],
    ['a resource manager that cannot be', 'record-header', FIRST, 0, (bytes) => void (bytes[FIRST + 17] = 22)],
    [
      'a previous link at or after the first record',
      'previous-link',
      FIRST,
      0,
      (_, view) => view.setBigUint64(FIRST + 8, BigInt(start + FIRST), true),
    ],
    [
      'a previous link that skips a record',
      'previous-link',
      SECOND,
      1,
      (_, view) => view.setBigUint64(SECOND + 8, 8n, true),
    ],
    ['a changed byte in a record on one page', 'checksum', FIRST, 0, (bytes) => void (bytes[FIRST + 50] = 2)],
    ['a changed byte on a later page of a record', 'checksum', SECOND, 1, (bytes) => void (bytes[20_000] = 2)],
    [
      'a right checksum over contents that do not add up',
      'record-body',
      FIRST,
      0,
      (bytes, view) => (view.setUint8(FIRST + 24, 40), sealRecord(bytes, view, FIRST, 126)),
    ],
    ['a page of another version', 'page-header', SECOND, 1, (_, view) => view.setUint16(8192, 0xd116, true)],
    ['a page from a recycled segment', 'page-header', SECOND, 1, (_, view) => view.setBigUint64(8192 + 8, 8192n, true)],
    ['a page with unknown flags', 'page-header', SECOND, 1, (_, view) => view.setUint16(8192 + 2, 0x11, true)],
    ['a page of an earlier timeline', 'page-header', SECOND, 1, (_, view) => view.setUint32(8192 + 4, 0, true)],
    ['a page of another system', 'page-header', 0, 0, (_, view) => view.setBigUint64(24, 1n, true)],
    ['a first page without its long header', 'page-header', 0, 0, (_, view) => view.setUint16(2, 0, true)],
    [
      'a page that does not continue the record',
      'continuation',
      SECOND,
      1,
      (_, view) => view.setUint16(8192 + 2, 0, true),
    ],
    [
      'a page that continues another record',
      'continuation',
      SECOND,
      1,
      (_, view) => view.setUint32(8192 + 16, 77, true),
    ],
    [
      'a first page that begins with the rest of a record',
      'continuation',
      0,
      0,
      (_, view) => view.setUint16(2, 3, true),
    ],
  ])('%s', (_, reason, offset, count, damage) => {
    const found = endOf(damage);
    expect(found.end).toMatchObject({ reason, lsn: start + offset });
    expect(found.count).toBe(count);
    expect(found.position).toBe(start + (count === 0 ? 0 : SECOND));
  });

  test('another segment size is refused', () => {
    expect(endOf(() => undefined, { segmentSize: 2 * SEGMENT_SIZE }).end?.message).toContain('segment size');
  });

  test('the system is not checked when it is not known', () => {
    expect(endOf((_, view) => view.setBigUint64(24, 1n, true), { segmentSize: SEGMENT_SIZE }).end).toBeUndefined();
  });

  test('is final: what is pushed afterwards is ignored', () => {
    const decoder = new WalStreamDecoder(18, start, options);
    decoder.push(new Uint8Array(100));
    expect(decoder.next(new WalRecord())).toBe(false);
    const { end } = decoder;
    expect(end?.reason).toBe('page-header');
    decoder.push(new Uint8Array(100));
    expect(decoder.next(new WalRecord())).toBe(false);
    expect(decoder.end).toBe(end);
    expect(decoder.position).toBe(start);
  });
});

describe('a switch record', () => {
  test('ends with its segment, and is given once the rest of that has arrived', () => {
    const encoder = new WalStreamEncoder(18, start, options);
    encoder.append(heap(10));
    const switched = encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH, xid: 5000 });
    const after = encoder.append(heap(10));
    const { bytes } = encoder;
    const decoder = new WalStreamDecoder(18, start, options);
    const record = new WalRecord();
    decoder.push(bytes.slice(0, 10_000));
    expect(decoder.next(record)).toBe(true);
    const { endLsn: firstEnd, lsn: firstLsn } = record;
    expect(decoder.next(record)).toBe(false);
    expect([decoder.position, decoder.lastRecordLsn]).toEqual([firstEnd, firstLsn]);
    expect(decoder.statistics.recordCount).toBe(1);
    decoder.push(bytes.slice(10_000, SEGMENT_SIZE - 1));
    expect(decoder.next(record)).toBe(false);
    expect([decoder.position, decoder.nextByteLsn]).toEqual([firstEnd, 2 * SEGMENT_SIZE - 1]);
    decoder.push(bytes.slice(SEGMENT_SIZE - 1, SEGMENT_SIZE));
    expect(decoder.next(record)).toBe(true);
    expect([record.lsn, record.endLsn, record.rmid]).toEqual([switched.lsn, 2 * SEGMENT_SIZE, RM_XLOG_ID]);
    expect([record.info, record.xid, record.prev]).toEqual([XLOG_SWITCH, 5000, firstLsn]);
    expect(decoder.next(record)).toBe(false);
    expect([decoder.position, decoder.lastRecordLsn]).toEqual([2 * SEGMENT_SIZE, switched.lsn]);
    decoder.push(bytes.slice(SEGMENT_SIZE));
    expect(decoder.next(record)).toBe(true);
    expect(record.lsn).toBe(after.lsn);
    expect(record.lsn).toBe(2 * SEGMENT_SIZE + 40);
    expect(record.prev).toBe(switched.lsn);
  });
});

describe('a lost continuation', () => {
  test('whose overwriting record names another record is the end', () => {
    const encoder = new WalStreamEncoder(18, start, options);
    encoder.append(heap(10));
    const torn = encoder.appendTorn(heap(20_000), 1);
    encoder.appendOverwrite((torn + 8) as Lsn);
    const decoder = new WalStreamDecoder(18, start, options);
    const record = new WalRecord();
    decoder.push(encoder.bytes);
    expect(decoder.next(record)).toBe(true);
    expect(decoder.next(record)).toBe(false);
    expect(decoder.end?.reason).toBe('continuation');
  });
});

describe('the start', () => {
  test('must be a multiple of 8', () => {
    expect(() => new WalStreamDecoder(18, 1001 as Lsn)).toThrow('record boundary');
  });

  test('a chunk must be used up before the next', () => {
    const decoder = new WalStreamDecoder(18, start, options);
    decoder.push(new Uint8Array(10));
    expect(() => decoder.push(new Uint8Array(10))).toThrow('used up');
  });
});
