/**
 * What is stored for a tablespace without a location of its own (allow_in_place_tablespaces): a zero byte, which no
 * path has, since no bytes at all mean that the tablespace was dropped.
 */
const IN_PLACE = Uint8Array.of(0);

/** The value of a tablespace object: `location` in UTF-8 itself, borrowed; never empty, for that is a dropped one. */
export function encodeTablespace(location: Uint8Array): Uint8Array {
  return location.length === 0 ? IN_PLACE : location;
}

/** The location in a tablespace object's value, which is not empty; '' when the tablespace is in place. */
export function decodeTablespace(value: Uint8Array): string {
  return value.length === 1 && value[0] === 0 ? '' : new TextDecoder().decode(value);
}
