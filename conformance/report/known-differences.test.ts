import { expect, test } from 'vitest';
import { partKnown } from './known-differences.ts';

const INIT_FORK = 'cluster base/16458/16487_init block 0: the timeline has only 0 blocks, and this page is not empty';

test('a known difference is no failure, on the versions and in the suite it is known of', () => {
  expect(partKnown(17, 'contrib', [INIT_FORK])).toEqual({ known: [INIT_FORK], failures: [] });
  expect(partKnown(15, 'contrib', [INIT_FORK])).toEqual({ known: [], failures: [INIT_FORK] });
  expect(partKnown(17, 'regress', [INIT_FORK])).toEqual({ known: [], failures: [INIT_FORK] });
});

test('one more than is known of is a failure', () => {
  expect(partKnown(18, 'contrib', [INIT_FORK, INIT_FORK, 'redo something'])).toEqual({
    known: [INIT_FORK],
    failures: [INIT_FORK, 'redo something'],
  });
});
