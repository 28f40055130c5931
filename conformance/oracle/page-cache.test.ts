import { allocatePage } from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { PageCache } from './page-cache.ts';

test('what was used last is kept, what was not used for long is forgotten', () => {
  const cache = new PageCache(3);
  const pages = Array.from({ length: 12 }, () => allocatePage());
  for (const [i, page] of pages.entries()) {
    cache.set(String(i), page);
    expect(cache.get('0')).toBe(pages[0]); // used all the time
    expect(cache.get(String(i))).toBe(page);
  }
  expect(cache.get('1')).toBeUndefined();
});
