/** From this many bytes on a `subarray` and one native copy cost less than a loop. Unit: bytes. */
const NATIVE_FROM = 96;

/**
 * Copies `length` bytes between two arrays that do not overlap (for one array use copyWithin). Short copies make no garbage.
 * @throws RangeError when a range lies outside of its array
 */
export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  if (
    length < 0 ||
    fromOffset < 0 ||
    toOffset < 0 ||
    fromOffset + length > from.length ||
    toOffset + length > to.length
  ) {
    throw new RangeError(`copy of ${length} bytes from ${fromOffset} to ${toOffset} leaves its arrays`);
  }
  if (length >= NATIVE_FROM) {
    to.set(from.subarray(fromOffset, fromOffset + length), toOffset);
    return;
  }
  for (let i = 0; i < length; i++) to[toOffset + i] = from[fromOffset + i] as number;
}
