/** A value of a field as it is shown: a number, or text. */
export type FieldValue = number | string;

/** A part of a page with a name of its own: the header, an item, a posting list. */
export interface PagePart {
  /** `header`, `item 3`, `special`, … Unique in its page. */
  readonly name: string;
  /** What is in it, in the order in which it is best read. */
  readonly fields: Readonly<Record<string, FieldValue>>;
}

/** A page in words. Whatever the bytes are, it can be made: what does not add up is a field `damaged` that says why. */
export interface DecodedPage {
  /** What kind of page it is: `heap`, `btree leaf`, `gin posting tree leaf`, `visibility map`, `all zeroes`, … */
  readonly kind: string;
  readonly parts: readonly PagePart[];
}

/** Collects the fields of a part. */
export type FieldMap = Record<string, FieldValue>;
