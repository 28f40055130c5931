/** Ascending numbers as runs: `0-3 7`. */
export function runsOf(numbers: readonly number[]): string {
  const runs: string[] = [];
  for (let i = 0; i < numbers.length;) {
    const first = numbers[i] as number;
    let last = first;
    for (i++; numbers[i] === last + 1; i++) last++;
    runs.push(rangeOf(first, last));
  }
  return runs.join(' ');
}

/** Two numbers and all between them: `0-3`, or `7`. */
export function rangeOf(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}
