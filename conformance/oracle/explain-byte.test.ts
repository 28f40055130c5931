import {
  RM_BTREE_ID,
  RM_HEAP_ID,
  allocatePage,
  initPage,
  packLinePointer,
  setLinePointer,
  setPageLower,
  setPageUpper,
} from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { explainByte } from './explain-byte.ts';

const LP_NORMAL = 1;

test('a byte of a page is named after what lies there', () => {
  const page = allocatePage();
  initPage(page, 16);
  setPageLower(page, 24 + 2 * 4);
  setPageUpper(page, 8000);
  setLinePointer(page, 1, packLinePointer(8100, LP_NORMAL, 40));
  setLinePointer(page, 2, packLinePointer(8000, LP_NORMAL, 40));
  const explain = (offset: number, rmid = RM_HEAP_ID): string => explainByte(page, rmid, offset);
  expect(explain(0)).toBe('pd_lsn of the page header');
  expect(explain(10)).toBe('pd_flags of the page header');
  expect(explain(23)).toBe('pd_prune_xid of the page header');
  expect(explain(24)).toBe('line pointer 1');
  expect(explain(31)).toBe('line pointer 2');
  expect(explain(32)).toBe('free space');
  expect(explain(8000)).toBe('t_xmin of item 2');
  expect(explain(8121)).toBe('t_infomask of item 1');
  expect(explain(8123)).toBe('byte 23 of item 1');
  expect(explain(8006, RM_BTREE_ID)).toBe('t_info of item 2');
  expect(explain(8050)).toBe('no item');
  expect(explain(8180)).toBe('byte 4 of the special space');
});
