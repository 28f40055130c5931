import { expect, test } from 'vitest';
import { cutSchedule, formatSchedule, parseSchedule } from './schedule.ts';

const TEXT = `# a comment
test: setup
test: a b  c

ignore: b
test: d
test: e f g h
`;

test('a schedule is read without comments and written back', () => {
  const groups = parseSchedule(TEXT);
  expect(groups).toEqual([['setup'], ['a', 'b', 'c'], ['d'], ['e', 'f', 'g', 'h']]);
  expect(parseSchedule(formatSchedule(groups))).toEqual(groups);
});

test('a schedule is cut between groups, in order, into no more parts than asked for', () => {
  const groups = parseSchedule(TEXT);
  for (let parts = 1; parts <= 6; parts++) {
    const runs = cutSchedule(groups, parts);
    expect(runs.flat()).toEqual(groups);
    expect(runs.length).toBeLessThanOrEqual(parts);
    expect(runs.every((run) => run.length > 0)).toBe(true);
  }
  expect(cutSchedule(groups, 1)).toHaveLength(1);
  expect(cutSchedule(groups, 3)).toEqual([
    [['setup'], ['a', 'b', 'c']],
    [['d'], ['e', 'f', 'g', 'h']],
  ]);
});
