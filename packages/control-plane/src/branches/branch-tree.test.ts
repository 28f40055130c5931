import { lsn, type TimelineId } from '@zenith/base';
import { expect, test } from 'vitest';
import { drawBranchTree, type BranchNode } from './branch-tree.ts';

function branch(name: string, ancestor?: string, startLsn = 0x1609610): BranchNode {
  return {
    name,
    timeline: `t-${name}` as TimelineId,
    ancestor: ancestor === undefined ? undefined : (`t-${ancestor}` as TimelineId),
    startLsn: lsn(startLsn),
  };
}

test('a first branch alone stands without an LSN', () => {
  expect(drawBranchTree([branch('main')])).toEqual([' main']);
});

test('a child hangs under its parent at the LSN it leaves it', () => {
  expect(drawBranchTree([branch('migration_check', 'main'), branch('main')])).toEqual([
    ' main',
    ' ┗━ @0/1609610: migration_check',
  ]);
});

test('siblings are in the order of their LSNs, then of their names, each with its own children', () => {
  const branches = [
    branch('main'),
    branch('b', 'main', 0x300),
    branch('a', 'main', 0x300),
    branch('late', 'main', 0x400),
    branch('a1', 'a', 0x500),
    branch('a11', 'a1', 0x600),
    branch('late1', 'late', 0x700),
  ];
  expect(drawBranchTree(branches)).toEqual([
    ' main',
    ' ┣━ @0/300: a',
    ' ┃  ┗━ @0/500: a1',
    ' ┃     ┗━ @0/600: a11',
    ' ┣━ @0/300: b',
    ' ┗━ @0/400: late',
    '    ┗━ @0/700: late1',
  ]);
});

test('a branch whose parent has no name here is at the top', () => {
  expect(drawBranchTree([branch('main'), branch('orphan', 'gone')])).toEqual([' main', ' @0/1609610: orphan']);
});

test('a chain of two thousand branches is drawn', () => {
  const chain = Array.from({ length: 2_000 }, (_, index) =>
    branch(`b${index}`, index === 0 ? undefined : `b${index - 1}`),
  );
  expect(drawBranchTree(chain)).toHaveLength(2_000);
});
