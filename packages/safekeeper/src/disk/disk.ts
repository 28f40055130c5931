/** An open file. */
export interface DiskFile {
  /** Writes all of `bytes[offset, offset + length)` at `position`; not durable before {@link sync}. */
  write(bytes: Uint8Array, offset: number, length: number, position: number): void;
  /** Like `write`, off the main thread. `bytes` must not change before it settles. */
  writeInBackground(bytes: Uint8Array, offset: number, length: number, position: number): Promise<void>;
  /** Reads at `position` into `bytes[offset, offset + length)`. Resolves to the bytes read, fewer at the file's end only. */
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Like `read`, at once: for bytes that were just written and lie in the page cache. */
  readCached(bytes: Uint8Array, offset: number, length: number, position: number): number;
  /** Resolves when what was written so far, and the size, are durable. */
  sync(): Promise<void>;
  /** Cuts the file or extends it by zeroes. */
  truncate(length: number): void;
  /** Closes the file, which no call may be under way on: its descriptor is given out again at once. */
  close(): void;
}

/**
 * Every file operation of a safekeeper. Tests put themselves here: the n-th operation fails, or a crash loses what was not synced. Writes of WAL are synchronous because a copy into the
 * page cache takes microseconds, a detour over the thread pool tens of them; what waits for the disk is not, unless the disk proves quick.
 */
export interface Disk {
  /** Opens an existing file. @throws with code ENOENT when there is none */
  open(path: string, mode: 'read' | 'write'): DiskFile;
  /** Creates a file, replacing one of that name. */
  create(path: string): DiskFile;
  /** A whole file, undefined when there is none. */
  readFile(path: string): Uint8Array | undefined;
  exists(path: string): boolean;
  /** The names in a directory; empty when there is none. */
  list(path: string): readonly string[];
  /** Makes a directory and those above it. */
  makeDirectory(path: string): void;
  /** Replaces `to` by `from` in one step. */
  rename(from: string, to: string): void;
  /** Removes a file, or a directory with all it holds; harmless when there is none. */
  remove(path: string): void;
  /** Resolves when the names in a directory are durable. */
  syncDirectory(path: string): Promise<void>;
}
