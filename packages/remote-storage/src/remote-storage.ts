import type { Readable } from 'node:stream';
import type { ObjectSource } from './object-source.ts';

/** What every operation takes. */
export interface OperationOptions {
  /** Ends the operation early, which then throws the signal's reason; what it has done by then is unknown. */
  readonly signal?: AbortSignal | undefined;
}

/** How to put. */
export interface PutOptions extends OperationOptions {
  /** Only when there is no object of that key: of several who try at once, one succeeds. S3: `If-None-Match: *`. */
  readonly ifAbsent?: boolean;
}

/** What to get. */
export interface GetOptions extends OperationOptions {
  /** Bytes `[start, end)` of the object instead of all of it: those that there are. A storage may throw CorruptionError when there are none. */
  readonly range?: { readonly start: number; readonly end: number };
}

/** Which part of a listing. */
export interface ListOptions extends OperationOptions {
  /** Only keys after this one. */
  readonly after?: string | undefined;
  /** Most objects on the page, 1 to {@link LIST_PAGE_MAX}. */
  readonly limit?: number;
}

/** An object, as it is listed. */
export interface ObjectInfo {
  readonly key: string;
  /** Unit: bytes. */
  readonly length: number;
}

/** A page of a listing, keys ascending. */
export interface ListPage {
  readonly objects: readonly ObjectInfo[];
  /** What to give as `after` for the next page; undefined on the last. */
  readonly next: string | undefined;
}

/** An object that is being read. */
export interface RemoteObject {
  /** Length of the whole object, whatever range was asked for. Unit: bytes. */
  readonly length: number;
  /**
   * The bytes asked for. The chunks are the reader's to keep. It must be read to its end or destroyed; it fails with RemoteStorageError `unavailable` when the connection is lost or falls
   * silent on the way. Nothing here has checked the bytes: that is for whoever knows their checksum, see {@link fetchObject}.
   */
  readonly body: Readable;
}

/** Most objects of a page. */
export const LIST_PAGE_MAX = 1000;

/** Most keys of one delete. */
export const DELETE_KEYS_MAX = 1000;

/**
 * Objects by key. An object appears whole or not at all, and what was put can be read and listed at once by everybody (S3 has promised that since 2020). Keys are `/`-separated words, see
 * object-key.ts; no key may go on where another ends (`a` and `a/b`). Every implementation runs the suite in remote-storage.test-support.ts.
 *
 * Each operation tries again by itself what may pass, within bounds, and then throws RemoteStorageError `unavailable`.
 */
export interface RemoteStorage {
  /** Where it is, for messages. Holds no secret. */
  readonly name: string;

  /**
   * Puts an object; durable when it resolves. The source is read at least once, and is the caller's. With `ifAbsent` an earlier attempt whose response was lost may have been the one to make the
   * object: whoever must know compares what is there.
   * @throws RemoteStorageError `already-exists`, `unavailable`, `refused`; CorruptionError when the source does not have the bytes it promises: then no object was made
   */
  put(key: string, source: ObjectSource, options?: PutOptions): Promise<void>;

  /** Opens an object for reading. @throws RemoteStorageError `not-found`, `unavailable`, `refused` */
  get(key: string, options?: GetOptions): Promise<RemoteObject>;

  /** What there is under a key; undefined when nothing. @throws RemoteStorageError `unavailable`, `refused` */
  head(key: string, options?: OperationOptions): Promise<ObjectInfo | undefined>;

  /** Objects whose keys begin with `prefix` (any text). @throws RemoteStorageError `unavailable`, `refused` */
  list(prefix: string, options?: ListOptions): Promise<ListPage>;

  /**
   * Removes at most {@link DELETE_KEYS_MAX} objects; one that does not exist is no error. When it throws, some may be gone.
   * @throws RemoteStorageError `unavailable`, `refused`
   */
  delete(keys: readonly string[], options?: OperationOptions): Promise<void>;

  /** Lets go of connections. Nothing may be under way. */
  close(): void;
}
