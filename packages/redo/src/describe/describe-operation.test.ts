import { expect, test } from 'vitest';
import {
  appendTransaction,
  appendVisibilityMapClear,
  describeOperation,
  encodeVisibilityMapTruncate,
  startCommitTimestamps,
  startMultixactMembers,
  startMultixactOffsets,
  startTransactionStatus,
  startVisibilityMapClear,
  visitTransactionStatus,
} from '../index.ts';

const view = new DataView(new ArrayBuffer(64));

test('page operations in words', () => {
  let end = appendVisibilityMapClear(view, startVisibilityMapClear(view, 3), 7, 3);
  end = appendVisibilityMapClear(view, end, 300, 1);
  expect(describeOperation(view, 3, end - 3)).toBe('visibility map clear: heap blocks 7 300');
  end = encodeVisibilityMapTruncate(view, 0, 12);
  expect(describeOperation(view, 0, end)).toBe('visibility map truncate: 12 heap blocks are left');
  expect(describeOperation(view, 0, 2)).toBe('visibility map truncate');
  end = appendTransaction(view, startTransactionStatus(view, 0, 1), 5);
  expect(describeOperation(view, 0, end)).toBe('transaction status');
  expect(describeOperation(view, 0, startMultixactOffsets(view, 0))).toBe('multixact offsets');
  expect(describeOperation(view, 0, startMultixactMembers(view, 0, 1))).toBe('multixact members');
  expect(describeOperation(view, 0, startCommitTimestamps(view, 0, 1, 2, 3))).toBe('commit timestamps');
});

test('the transactions of an operation, and none of another', () => {
  const seen: number[][] = [];
  const visit = (index: number, status: number): void => void seen.push([index, status]);
  let end = appendTransaction(view, startTransactionStatus(view, 4, 2), 32_768 + 5);
  end = appendTransaction(view, end, 9);
  visitTransactionStatus(view, 4, end - 4, visit);
  expect(seen).toEqual([
    [5, 2],
    [9, 2],
  ]);
  visitTransactionStatus(view, 4, 1, visit);
  visitTransactionStatus(view, 0, encodeVisibilityMapTruncate(view, 0, 12), visit);
  expect(seen).toHaveLength(2);
});

test('whatever the bytes are', () => {
  view.setUint8(0, 99);
  expect(describeOperation(view, 0, 5)).toBe('unknown page operation');
  expect(describeOperation(view, 0, 0)).toBe('unknown page operation');
});
