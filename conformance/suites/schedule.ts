/** A line of a schedule: tests that run at the same time. */
export type TestGroup = readonly string[];

/** Reads a schedule of pg_regress: `test: a b c`, comments, and `ignore: x` lines, which name tests whose failure does not count. */
export function parseSchedule(text: string): TestGroup[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('test:'))
    .map((line) => line.slice('test:'.length).trim().split(/\s+/));
}

/** Writes a schedule. */
export function formatSchedule(groups: readonly TestGroup[]): string {
  return groups.map((group) => `test: ${group.join(' ')}\n`).join('');
}

/** Cuts a schedule into at most `parts` runs of whole groups, of about as many tests each. */
export function cutSchedule(groups: readonly TestGroup[], parts: number): TestGroup[][] {
  const total = groups.reduce((sum, group) => sum + group.length, 0);
  const runs: TestGroup[][] = [];
  let tests = 0;
  let last = -1;
  for (const group of groups) {
    const part = Math.floor((tests * parts) / total);
    if (part !== last) runs.push([]);
    last = part;
    runs.at(-1)?.push(group);
    tests += group.length;
  }
  return runs;
}
