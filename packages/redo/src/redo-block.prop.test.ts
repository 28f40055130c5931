import { CorruptionError } from '@zenith/base';
import { encodeRecord, pageLsn, type Page, type PgMajor, type WalRecord } from '@zenith/pg-format';
import { lsn } from '@zenith/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GalleryItem } from './gallery-item.test-support.ts';
import { GALLERY } from './gallery.test-support.ts';
import { RedoError, redoBlock } from './index.ts';
import { END_LSN, decode, guardedPage, record } from './record-builder.test-support.ts';

/** What redo made of a page: its bytes, or the error. */
type Result = { readonly page: Uint8Array } | { readonly error: unknown };

function run(
  major: PgMajor,
  make: () => WalRecord,
  blockIndex: number,
  content: Uint8Array,
  filler: number,
): { readonly result: Result; readonly guards: boolean } {
  const { page, guards } = guardedPage(content, filler);
  return { result: attempt(major, make, blockIndex, page), guards: guards() };
}

function attempt(major: PgMajor, make: () => WalRecord, blockIndex: number, page: Page): Result {
  try {
    redoBlock(major, make(), blockIndex, page);
    return { page: page.bytes };
  } catch (error) {
    return { error };
  }
}

function isExpected(result: Result): boolean {
  return 'page' in result || result.error instanceof CorruptionError || result.error instanceof RedoError;
}

/** Bytes to change: somewhere, near the start, or near the end, where lengths, offsets, line pointers and special space are. */
const places = (length: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: 0, max: length - 1 }),
    fc.integer({ min: 0, max: Math.min(60, length - 1) }),
    fc.integer({ min: Math.max(0, length - 20), max: length - 1 }),
  );
const changes = (length: number): fc.Arbitrary<[number, number][]> =>
  fc.array(
    fc.tuple(places(length), fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff))),
    { minLength: 0, maxLength: 4 },
  );

function changed(bytes: Uint8Array, at: readonly (readonly [number, number])[], from = 0): Uint8Array {
  const copy = bytes.slice();
  for (const [place, value] of at) if (place >= from) copy[place] = value;
  return copy;
}

const HEADER = 24;

describe.each(GALLERY.map((item): [string, GalleryItem] => [item.name, item]))('%s', (_name, item) => {
  const major = item.major ?? 18;
  it('is redone, from the whole record alone', () => {
    const zeroes = run(major, () => record(major, item.spec, 0x00), item.blockIndex, item.page, 0x00);
    const ones = run(major, () => record(major, item.spec, 0xff), item.blockIndex, item.page, 0xff);
    if ('error' in zeroes.result) throw zeroes.result.error;
    expect(zeroes.result).toEqual(ones.result);
    expect(
      pageLsn({
        bytes: zeroes.result.page,
        view: new DataView(zeroes.result.page.buffer, zeroes.result.page.byteOffset, 8192),
      }),
    ).toBe(END_LSN);
  });

  it('is applied or refused when record and page are damaged, and never depends on bytes outside of them', () => {
    const encoded = encodeRecord(item.spec, lsn(0x1000));
    fc.assert(
      fc.property(changes(encoded.length), changes(item.page.length), (inRecord, inPage) => {
        const bytes = changed(encoded, inRecord, HEADER);
        const content = changed(item.page, inPage);
        const zeroes = run(major, () => decode(major, bytes, 0x00), item.blockIndex, content, 0x00);
        const ones = run(major, () => decode(major, bytes, 0xff), item.blockIndex, content, 0xff);
        if (!isExpected(zeroes.result)) throw 'error' in zeroes.result ? zeroes.result.error : new Error('unreachable');
        expect(zeroes.guards && ones.guards).toBe(true);
        if ('page' in zeroes.result)
          expect('page' in ones.result && Buffer.compare(zeroes.result.page, ones.result.page) === 0).toBe(true);
        else expect('error' in ones.result && String(ones.result.error)).toBe(String(zeroes.result.error));
      }),
      { numRuns: 100 },
    );
  });
});
