import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Lsn } from '@zenith/base';
import { WalRecord } from './record.ts';
import {
  SEGMENT_SIZE,
  SYSTEM_ID,
  recordAsText,
  recordSpec,
  specAsText,
  startLsn,
} from './record-arbitraries.test-support.ts';
import { RM_XLOG_ID } from './resource-managers.ts';
import { WalStreamDecoder } from './stream-decoder.ts';
import { WalStreamEncoder, type EncodedRecord } from './stream-encoder.ts';
import type { RecordSpec } from './encode-record.ts';
import { XLOG_SWITCH } from './xlog-records.ts';

const options = { systemId: SYSTEM_ID, segmentSize: SEGMENT_SIZE };
const switchSpec: RecordSpec = { rmid: RM_XLOG_ID, info: XLOG_SWITCH };

/** Sizes of the chunks a stream is cut into, used in turn. */
const chunkSizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 20_000 })), {
  minLength: 1,
  maxLength: 20,
});

interface Decoded extends EncodedRecord {
  readonly spec: unknown;
}

/** Pushes the stream in chunks; each chunk is a copy that is destroyed once the decoder gave it back. */
function decodeAll(decoder: WalStreamDecoder, bytes: Uint8Array, sizes: readonly number[]): Decoded[] {
  const decoded: Decoded[] = [];
  const record = new WalRecord();
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const chunk = bytes.slice(at, at + (sizes[i % sizes.length] as number));
    at += chunk.length;
    decoder.push(chunk);
    while (decoder.next(record)) decoded.push({ lsn: record.lsn, endLsn: record.endLsn, spec: recordAsText(record) });
    chunk.fill(0xee);
  }
  return decoded;
}

describe('WalStreamDecoder', () => {
  test('gives back every record with its place, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(15, 16, 17, 18),
        startLsn,
        fc.array(fc.oneof({ weight: 20, arbitrary: recordSpec }, { weight: 1, arbitrary: fc.constant(switchSpec) }), {
          minLength: 1,
          maxLength: 25,
        }),
        chunkSizes,
        (major, start, specs, sizes) => {
          const encoder = new WalStreamEncoder(major, start, options);
          const places = specs.map((spec) => encoder.append(spec));
          const decoder = new WalStreamDecoder(major, start, options);
          const decoded = decodeAll(decoder, encoder.bytes, sizes);
          expect(decoder.end).toBeUndefined();
          expect(decoded).toEqual(places.map((place, i) => ({ ...place, spec: specAsText(specs[i] as RecordSpec) })));
          expect(decoder.position).toBe(encoder.endLsn);
          expect(decoder.lastRecordLsn).toBe(places.at(-1)?.lsn);
          expect(decoder.statistics.recordCount).toBe(specs.length);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('can begin at any record and at the page header before it', () => {
    fc.assert(
      fc.property(
        startLsn,
        fc.array(recordSpec, { minLength: 2, maxLength: 12 }),
        fc.nat(),
        chunkSizes,
        (start, specs, pick, sizes) => {
          const encoder = new WalStreamEncoder(18, start, options);
          const ends = [start, ...specs.map((spec) => encoder.append(spec).endLsn)];
          const from = pick % specs.length;
          const at = ends[from] as Lsn;
          const decoder = new WalStreamDecoder(18, at, options);
          const decoded = decodeAll(decoder, encoder.bytes.slice(at - start), sizes);
          expect(decoder.end).toBeUndefined();
          expect(decoded.map((one) => one.spec)).toEqual(specs.slice(from).map(specAsText));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('never passes the bytes it has: its position after any prefix is the end of the last record wholly inside', () => {
    fc.assert(
      fc.property(
        startLsn,
        fc.array(recordSpec, { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (start, specs, part) => {
          const encoder = new WalStreamEncoder(17, start, options);
          const ends = [start, ...specs.map((spec) => encoder.append(spec).endLsn)];
          const length = Math.floor(encoder.bytes.length * part);
          const decoder = new WalStreamDecoder(17, start, options);
          decodeAll(decoder, encoder.bytes.slice(0, length), [length + 1]);
          expect(decoder.position).toBe(ends.findLast((end) => end <= start + length));
          expect(decoder.nextByteLsn).toBe(start + length);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a flipped bit never yields a record that was not written', () => {
    fc.assert(
      fc.property(
        startLsn,
        fc.array(recordSpec, { minLength: 1, maxLength: 6 }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.nat(7),
        chunkSizes,
        (start, specs, place, bit, sizes) => {
          const encoder = new WalStreamEncoder(18, start, options);
          for (const spec of specs) encoder.append(spec);
          const bytes = encoder.bytes.slice();
          const at = Math.floor(place * bytes.length);
          bytes[at] = (bytes[at] as number) ^ (1 << bit);
          const decoder = new WalStreamDecoder(18, start, options);
          const written = specs.map(specAsText);
          const decoded = decodeAll(decoder, bytes, sizes);
          expect(decoded.map((one) => one.spec)).toEqual(written.slice(0, decoded.length));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('goes over a record whose continuation was overwritten', () => {
    fc.assert(
      fc.property(
        fc.array(recordSpec, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(recordSpec, { minLength: 1, maxLength: 4 }),
        chunkSizes,
        (before, pages, after, sizes) => {
          const start = SEGMENT_SIZE as Lsn;
          const encoder = new WalStreamEncoder(18, start, options);
          for (const spec of before) encoder.append(spec);
          const torn = encoder.appendTorn({ rmid: 10, info: 0, mainData: new Uint8Array(40_000).fill(7) }, pages);
          encoder.appendOverwrite(torn);
          for (const spec of after) encoder.append(spec);
          const decoder = new WalStreamDecoder(18, start, options);
          const decoded = decodeAll(decoder, encoder.bytes, sizes);
          expect(decoder.end).toBeUndefined();
          expect(decoded.length).toBe(before.length + 1 + after.length);
          expect(decoded.slice(before.length + 1).map((one) => one.spec)).toEqual(after.map(specAsText));
          expect(decoder.statistics.overwrittenCount).toBe(1);
        },
      ),
      { numRuns: 40 },
    );
  });
});
