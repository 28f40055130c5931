/** One line of the result: a ratio of two figures measured in the same run, or a time against its bound. */
export interface Measurement {
  readonly name: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
  readonly detail: string;
}

/** The ratio `ours / theirs`, which should be at least `target`. */
export function atLeast(name: string, ours: number, theirs: number, target: number, unit: string): Measurement {
  const ratio = ours / theirs;
  return {
    name,
    value: `${ratio.toFixed(2)}×`,
    target: `≥ ${target}×`,
    met: ratio >= target,
    detail: `${round(ours)} against ${round(theirs)} ${unit}`,
  };
}

/** The ratio `ours / theirs`, which should be at most `target`. */
export function ratioAtMost(name: string, ours: number, theirs: number, target: number, unit: string): Measurement {
  const ratio = ours / theirs;
  return {
    name,
    value: `${ratio.toFixed(3)}×`,
    target: `≤ ${target}×`,
    met: ratio <= target,
    detail: `${ours.toFixed(2)} against ${theirs.toFixed(2)} ${unit}`,
  };
}

/** A rate that should be at least `target`; `detail` says what bounds it. */
export function rateAtLeast(name: string, rate: number, target: number, unit: string, detail: string): Measurement {
  return { name, value: rate.toFixed(2), target: `≥ ${target}`, met: rate >= target, detail: `${unit}; ${detail}` };
}

/** A time in milliseconds that should be at most `target`. */
export function atMost(name: string, ms: readonly number[], target: number): Measurement {
  const median = medianOf(ms);
  return {
    name,
    value: `${median.toFixed(1)} ms`,
    target: `≤ ${target} ms`,
    met: median <= target,
    detail: `median of ${ms.length}; ${Math.min(...ms).toFixed(1)} to ${Math.max(...ms).toFixed(1)} ms`,
  };
}

/** The middle one. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The mean. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Prints one measurement as soon as it is there. */
export function print({ name, value, target, met, detail }: Measurement): void {
  console.log(
    `${met ? 'ok  ' : 'MISS'}  ${name.padEnd(52)} ${value.padStart(10)}   target ${target.padEnd(10)} ${detail}`,
  );
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
