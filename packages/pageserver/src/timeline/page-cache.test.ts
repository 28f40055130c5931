import { lsn } from '@zenith/base';
import { allocatePage } from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { PageCache } from './page-cache.ts';
import { SizeCache, UNKNOWN_SIZE } from './size-cache.ts';

test('a page is found at and above its LSN, of several versions the newest that fits', () => {
  const cache = new PageCache(64 * 8192);
  const page = allocatePage();
  for (const at of [100, 50]) {
    page.bytes.fill(at);
    cache.keep(1, 2, 3, lsn(at), page.bytes);
  }
  expect(cache.find(1, 2, 3, lsn(49))).toBe(-1);
  expect(cache.page(cache.find(1, 2, 3, lsn(99))).bytes[0]).toBe(50);
  expect(cache.page(cache.find(1, 2, 3, lsn(100))).bytes[0]).toBe(100);
  for (const [timeline, object, block] of [
    [2, 2, 3],
    [1, 3, 3],
    [1, 2, 4],
  ] as const)
    expect(cache.find(timeline, object, block, lsn(200))).toBe(-1);
});

test('the cache keeps its bound and gives up the page used longest ago', () => {
  const cache = new PageCache(4 * 8192);
  const page = allocatePage();
  for (let block = 0; block < 4; block++) cache.keep(1, 1, block, lsn(1), page.bytes);
  expect(cache.find(1, 1, 0, lsn(1))).toBeGreaterThanOrEqual(0);
  for (let block = 4; block < 7; block++) cache.keep(1, 1, block, lsn(1), page.bytes);
  expect(cache.find(1, 1, 0, lsn(1))).toBeGreaterThanOrEqual(0);
  for (let block = 1; block < 4; block++) expect(cache.find(1, 1, block, lsn(1))).toBe(-1);
  expect(cache.bytes).toBe(4 * 8192);
});

test('a size is known for the LSNs for which it was seen to be the newest', () => {
  const sizes = new SizeCache();
  sizes.keep(1, 2, lsn(10), lsn(20), 7);
  expect([9, 10, 20, 21].map((at) => sizes.get(1, 2, lsn(at)))).toEqual([UNKNOWN_SIZE, 7, 7, UNKNOWN_SIZE]);
  expect(sizes.get(2, 2, lsn(15))).toBe(UNKNOWN_SIZE);
});
