/**
 * What a key has at an LSN. A read collects values from the newest down to the first base (image, zero page, or a record that initialises the
 * page), then applies the rest in the order of their LSNs.
 */
export const ValueKind = {
  /** The whole content: 8192 bytes for a page, any length for a small value (empty: the thing does not exist). A base. */
  image: 0,
  /** A page of zeroes; no bytes. A base. */
  zeroPage: 1,
  /** block id u8, then the WAL record trimmed to what that block needs (pg-format, trimRecord()). */
  record: 2,
  /** As `record`, of a block with BKPBLOCK_WILL_INIT or with an image to apply. A base. */
  initRecord: 3,
  /** An operation on one page that PostgreSQL implies rather than registers: redo/operations, encoded there. */
  operation: 4,
} as const;

/** One of {@link ValueKind}. */
export type ValueKind = (typeof ValueKind)[keyof typeof ValueKind];

/** True when nothing older is needed to rebuild the content. */
export function isBase(kind: ValueKind): boolean {
  return kind === ValueKind.image || kind === ValueKind.zeroPage || kind === ValueKind.initRecord;
}
