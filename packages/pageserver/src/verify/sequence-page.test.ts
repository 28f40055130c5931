import { initPage, allocatePage, packLinePointer, setLinePointer, LP_NORMAL, type Page } from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { maskSequenceState, sequenceStatesAgree } from './sequence-page.ts';

const TUPLE = 8192 - 8 - 48;

function sequence(lastValue: bigint, left: bigint, isCalled = true): Page {
  const page = allocatePage();
  initPage(page, 8);
  setLinePointer(page, 1, packLinePointer(TUPLE, LP_NORMAL, 41));
  page.view.setBigInt64(TUPLE + 24, lastValue, true);
  page.view.setBigInt64(TUPLE + 32, left, true);
  page.view.setUint8(TUPLE + 40, isCalled ? 1 : 0);
  return page;
}

test('a sequence is behind its WAL by as many steps as are left', () => {
  expect(sequenceStatesAgree(sequence(1n, 32n), sequence(33n, 0n))).toBe(true);
  expect(sequenceStatesAgree(sequence(10n, 5n), sequence(25n, 0n))).toBe(true); // steps of 3
  expect(sequenceStatesAgree(sequence(-10n, 5n), sequence(-20n, 0n))).toBe(true); // of -2
  expect(sequenceStatesAgree(sequence(12n, 4n), sequence(10n, 6n))).toBe(false);
  expect(sequenceStatesAgree(sequence(8n, 6n), sequence(12n, 2n))).toBe(true); // an image with some left
  expect(sequenceStatesAgree(sequence(5n, 0n), sequence(5n, 0n))).toBe(true);
});

test('a state that is not that of the WAL is found', () => {
  expect(sequenceStatesAgree(sequence(1n, 32n), sequence(34n, 0n))).toBe(false); // no whole step
  expect(sequenceStatesAgree(sequence(5n, 0n), sequence(6n, 0n))).toBe(false);
  expect(sequenceStatesAgree(sequence(5n, 32n), sequence(5n, 0n))).toBe(false); // a step of 0
  expect(sequenceStatesAgree(sequence(5n, 0n), sequence(37n, 32n))).toBe(false); // the WAL is never behind
  expect(sequenceStatesAgree(sequence(5n, 0n, false), sequence(5n, 0n))).toBe(false);
});

test('only the state is masked', () => {
  const page = sequence(7n, 3n);
  page.bytes[TUPLE + 23] = 1;
  maskSequenceState(page);
  expect([...page.bytes.subarray(TUPLE + 23, TUPLE + 41)]).toEqual([1, ...Array.from({ length: 17 }, () => 0)]);
});

test('a page without the tuple is refused', () => {
  const page = sequence(1n, 0n);
  setLinePointer(page, 1, packLinePointer(8180, LP_NORMAL, 41));
  expect(() => maskSequenceState(page)).toThrow(RangeError);
});
