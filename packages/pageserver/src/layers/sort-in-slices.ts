/** So many numbers are sorted without an interruption: about 2 ms. */
const RUN = 16_384;

/**
 * Sorts `numbers` in place, ascending, and can be interrupted at every `yield`: native sorts of short runs, then merges. A native sort of a million keys would keep reads waiting for
 * a tenth of a second.
 */
export function* sortInSlices(numbers: Float64Array): Generator<undefined, void, undefined> {
  const { length } = numbers;
  for (let start = 0; start < length; start += RUN) {
    numbers.subarray(start, Math.min(start + RUN, length)).sort();
    yield undefined;
  }
  let from = numbers;
  let to = length > RUN ? new Float64Array(length) : numbers;
  for (let width = RUN; width < length; width *= 2) {
    for (let start = 0; start < length; start += 2 * width) {
      const middle = Math.min(start + width, length);
      const end = Math.min(start + 2 * width, length);
      let a = start;
      let b = middle;
      for (let at = start; at < end; at++) {
        if (a < middle && (b >= end || (from[a] as number) <= (from[b] as number))) to[at] = from[a++] as number;
        else to[at] = from[b++] as number;
        if ((at & (RUN - 1)) === RUN - 1) yield undefined;
      }
    }
    [from, to] = [to, from];
  }
  if (from !== numbers) numbers.set(from);
}
