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

/** The same for {@link copyBetweenViews}. Unit: bytes. */
const NATIVE_FROM_VIEW = 320;

/**
 * {@link copyBytes} between two views that do not overlap, four bytes at a time: a third of the time for what is short, which most of a WAL record is.
 * @throws RangeError when a range leaves its view
 */
export function copyBetweenViews(
  from: DataView,
  fromOffset: number,
  to: DataView,
  toOffset: number,
  length: number,
): void {
  if (length >= NATIVE_FROM_VIEW) {
    const bytes = new Uint8Array(from.buffer, from.byteOffset, from.byteLength);
    copyBytes(bytes, fromOffset, new Uint8Array(to.buffer, to.byteOffset, to.byteLength), toOffset, length);
    return;
  }
  const end = fromOffset + length;
  let at = fromOffset;
  let into = toOffset;
  for (; at + 4 <= end; at += 4, into += 4) to.setInt32(into, from.getInt32(at, true), true);
  for (; at < end; at++, into++) to.setUint8(into, from.getUint8(at));
}
