import { MULTIXACT_OFFSETS_PER_PAGE, allocatePage, type CheckPoint, type Page } from '@zenith/pg-format';
import { firstDifference } from '@zenith/redo';
import { describe, expect, test } from 'vitest';
import { SlruKind } from '../key-space/object.ts';
import { SlruMask } from './slru-mask.ts';

const NEXT = 33 * MULTIXACT_OFFSETS_PER_PAGE + 5; // on the second page of the second segment
const SEGMENT = 1;
const BLOCK = 1;

const mask = new SlruMask({ nextMulti: NEXT, nextMultiOffset: 700 } as CheckPoint);

function page(entries: Readonly<Record<number, number>>): Page {
  const made = allocatePage();
  for (const [entry, value] of Object.entries(entries)) made.view.setUint32(Number(entry) * 4, value, true);
  return made;
}

/** The first byte that differs, both masked. */
function difference(slru: SlruKind, segment: number, block: number, one: Page, other: Page): number | undefined {
  for (const page of [one, other]) mask.apply(slru, segment, block, page);
  return firstDifference(one, other)?.offset;
}

describe('the offset of the next multixact', () => {
  test('may be known or not yet', () => {
    const both = [page({ 4: 690, 5: 700 }), page({ 4: 690 })] as const;
    expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, ...both)).toBeUndefined();
  });

  test('is nothing else', () => {
    const both = [page({ 5: 700 }), page({ 5: 701 })] as const;
    expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, ...both)).toBe(20);
  });

  test('is on one page only', () => {
    expect(difference(SlruKind.multixactOffsets, SEGMENT, 0, page({ 5: 700 }), page({}))).toBe(20);
    expect(difference(SlruKind.multixactOffsets, 0, BLOCK, page({ 5: 700 }), page({}))).toBe(20);
    for (const slru of [SlruKind.multixactMembers, SlruKind.clog, SlruKind.commitTs])
      expect(difference(slru, SEGMENT, BLOCK, page({ 5: 700 }), page({}))).toBe(20);
  });
});

test('offsets before the next multixact and behind it are compared', () => {
  expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, page({ 4: 690 }), page({}))).toBe(16);
  expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, page({}), page({ 6: 710 }))).toBe(24);
  expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, page({ 5: 700 }), page({ 5: 700, 6: 710 }))).toBe(24);
});

test('what is comparable does not depend on what the page holds: a 700 elsewhere is compared', () => {
  expect(difference(SlruKind.multixactOffsets, SEGMENT, BLOCK, page({ 8: 700 }), page({}))).toBe(32);
});
