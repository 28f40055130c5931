/**
 * Stored keys as text: 44 hexadecimal digits of the 22 bytes drawn in object.ts. They sort as the keys do. Layer names, the timeline's index and
 * compaction's key ranges are made of them; nothing on the page path is.
 */
export type StoredKey = string;

/** Half-open range of stored keys. */
export interface KeyRange {
  readonly start: StoredKey;
  readonly end: StoredKey;
}

const STORED_KEY_DIGITS = 44;

/** At or below every key. */
export const STORED_KEY_MIN: StoredKey = '0'.repeat(STORED_KEY_DIGITS);

/** Above every key: where a range ends that has no end. */
export const STORED_KEY_MAX: StoredKey = 'f'.repeat(STORED_KEY_DIGITS);

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** The stored key of (object, block). */
export function storedKey(kind: number, spc: number, db: number, rel: number, fork: number, block: number): StoredKey {
  return hex(kind, 2) + hex(spc, 8) + hex(db, 8) + hex(rel, 8) + hex(fork, 2) + hex(block, 8) + '00000000';
}

/** The smallest stored key above `key`: the end of a range whose last key is `key`. Uses the reserved bytes, so it is no key itself. */
export function afterStoredKey(key: StoredKey): StoredKey {
  return key.slice(0, STORED_KEY_DIGITS - 8) + '00000001';
}
