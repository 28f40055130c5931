/** Anything JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** One stored value. */
export interface MetadataEntry {
  readonly key: string;
  readonly value: JsonValue;
  /** The revision of the store that wrote it; grows with every change of the store and is never used twice. */
  readonly revision: number;
}

/** Changes that happen together, or not at all. */
export interface MetadataTransaction {
  /** What must still hold: the revision each of these keys was read at, 0 for one that must not exist. */
  readonly expect: readonly { readonly key: string; readonly revision: number }[];
  /** Values to set. */
  readonly put?: readonly { readonly key: string; readonly value: JsonValue }[];
  /** Keys to remove; one that does not exist is no error. */
  readonly remove?: readonly string[];
}

/**
 * The cluster's shared state: small, rarely changed, never on the path of a page read or a commit. Keys are paths such as `branch/main`. What it offers is what
 * etcd offers too, so that a cluster can keep the same state there: linearizable reads, and transactions that compare revisions.
 *
 * A store holds at most {@link METADATA_BYTES_MAX}. Every implementation runs the same conformance suite (metadata-store.test-support.ts).
 */
export interface MetadataStore {
  /** @returns the entry, or undefined when there is none */
  get(key: string): Promise<MetadataEntry | undefined>;

  /** All entries whose keys begin with `prefix`, as they were at one moment, sorted by key (by UTF-16 code unit). */
  list(prefix: string): Promise<MetadataEntry[]>;

  /**
   * Applies the transaction if everything it expects holds. Durable when it returns true.
   * @returns false when an expectation does not hold; nothing was changed then
   */
  commit(transaction: MetadataTransaction): Promise<boolean>;
}

/** The largest a store may grow, as JSON. Unit: bytes. Some 50,000 branches. */
export const METADATA_BYTES_MAX = 16 * 1024 * 1024;
