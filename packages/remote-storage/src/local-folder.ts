import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import { assert } from '@zenith/base';
import { RemoteStorageError } from './errors.ts';
import { checkKey } from './object-key.ts';
import { checkedBytes, fileSource, type ObjectSource } from './object-source.ts';
import {
  DELETE_KEYS_MAX,
  type GetOptions,
  LIST_PAGE_MAX,
  type ListOptions,
  type ListPage,
  type ObjectInfo,
  type OperationOptions,
  type PutOptions,
  type RemoteObject,
  type RemoteStorage,
} from './remote-storage.ts';

/** Objects on their way lie here; no key begins with a dot. */
const INCOMING = '.incoming';

/** Folders that a listing reads ahead, and objects whose sizes it waits for at once: one after the other, most of its time is waiting for a thread. */
const [FOLDERS_AHEAD, SIZES_AHEAD] = [8, 16];

/** What lies in the folder of objects on their way longer than this was left by a process that died. Unit: ms. */
const ABANDONED_AFTER_MS = 3600_000;

/**
 * Objects as files in a folder, a key being a path. An object is written beside its place, synced, and renamed or linked there, and the names are synced too. A source that is an immutable file on the
 * same file system is linked, not copied: it costs no space. Several processes may use a folder at once.
 */
export class LocalFolderStorage implements RemoteStorage {
  readonly name: string;
  readonly #root: string;
  /** Folders whose own names are known to be durable. */
  readonly #synced = new Set<string>();
  #count = 0;

  private constructor(root: string) {
    this.#root = root;
    this.name = root;
  }

  /**
   * Opens a folder, making it if need be, and removes what processes that died have left on its way.
   * @param now the time of day. Unit: ms since 1970
   * @throws RemoteStorageError `refused`
   */
  static async open(root: string, now: () => number = Date.now): Promise<LocalFolderStorage> {
    const storage = new LocalFolderStorage(root);
    await storage.#attempt(async () => {
      const incoming = join(root, INCOMING);
      await mkdir(incoming, { recursive: true, mode: 0o700 });
      for (const name of await readdir(incoming)) {
        const path = join(incoming, name);
        const found = await stat(path).catch(ignoreMissing);
        if (found !== undefined && now() - found.ctimeMs > ABANDONED_AFTER_MS) await unlink(path).catch(ignoreMissing);
      }
      await syncFolder(root);
      await syncFolder(dirname(root));
    });
    return storage;
  }

  async put(key: string, source: ObjectSource, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const path = join(this.#root, key);
    const temporary = join(this.#root, INCOMING, `${process.pid}-${Date.now()}-${this.#count++}`);
    await this.#attempt(async () => {
      try {
        if (!(await linked(source, temporary, options.signal))) await write(temporary, source, options.signal);
        await this.#makeFolder(dirname(path));
        if (options.ifAbsent === true) await link(temporary, path);
        else await rename(temporary, path);
      } catch (error) {
        if (hasCode(error, 'EEXIST'))
          throw new RemoteStorageError('already-exists', `there is an object ${key} already`, { cause: error });
        throw error;
      } finally {
        // Also after a rename: it does nothing when both names are the same file's.
        await unlink(temporary).catch(ignoreMissing);
      }
      await syncFolder(dirname(path));
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<RemoteObject> {
    checkKey(key);
    const { range, signal } = options;
    assert(range === undefined || range.start < range.end, 'a range is not empty');
    signal?.throwIfAborted();
    return this.#attempt(async () => {
      const file = await open(join(this.#root, key), 'r').catch((error: unknown) => {
        if (hasCode(error, 'ENOENT')) throw notFound(key, error);
        throw error;
      });
      const { size } = await file.stat().catch(async (error: unknown) => {
        await file.close();
        throw error;
      });
      const chunks = createReadStream('', {
        fd: file,
        start: range?.start ?? 0,
        highWaterMark: 256 * 1024,
        ...(range === undefined ? {} : { end: range.end - 1 }),
      });
      return { length: size, body: asBody(chunks, signal) };
    });
  }

  async head(key: string, options: OperationOptions = {}): Promise<ObjectInfo | undefined> {
    checkKey(key);
    options.signal?.throwIfAborted();
    return this.#attempt(async () => {
      const found = await stat(join(this.#root, key)).catch(ignoreMissing);
      return found === undefined || !found.isFile() ? undefined : { key, length: found.size };
    });
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListPage> {
    const { after = '', limit = LIST_PAGE_MAX, signal } = options;
    assert(limit >= 1 && limit <= LIST_PAGE_MAX, 'a page of a listing has a bounded length');
    return this.#attempt(async () => {
      const objects: ObjectInfo[] = [];
      const pending: Promise<ObjectInfo | undefined>[] = [];
      const takeAllBut = async (left: number): Promise<void> => {
        while (pending.length > left) {
          const found = await pending.shift();
          if (found !== undefined) objects.push(found);
        }
      };
      for await (const key of this.#walk('', prefix, after)) {
        signal?.throwIfAborted();
        // One that is gone meanwhile makes room.
        if (objects.length + pending.length === limit) await takeAllBut(0);
        if (objects.length === limit) return { objects, next: objects.at(-1)?.key };
        pending.push(handled(this.#info(key)));
        await takeAllBut(SIZES_AHEAD);
      }
      await takeAllBut(0);
      return { objects, next: undefined };
    });
  }

  async delete(keys: readonly string[], options: OperationOptions = {}): Promise<void> {
    assert(keys.length <= DELETE_KEYS_MAX, 'one delete has a bounded number of keys');
    await this.#attempt(async () => {
      const folders = new Set<string>();
      for (const key of keys) {
        checkKey(key);
        options.signal?.throwIfAborted();
        const path = join(this.#root, key);
        await unlink(path).catch(ignoreMissing);
        folders.add(dirname(path));
      }
      for (const folder of folders) await syncFolder(folder).catch(ignoreMissing);
    });
  }

  close(): void {
    this.#synced.clear();
  }

  async #info(key: string): Promise<ObjectInfo | undefined> {
    const found = await stat(join(this.#root, key)).catch(ignoreMissing);
    return found === undefined ? undefined : { key, length: found.size };
  }

  /** The keys below `folder` ('' or ending in a slash) that have the prefix and come after `after`, in order. */
  async *#walk(folder: string, prefix: string, after: string, read = this.#read(folder)): AsyncGenerator<string> {
    const names = (await read).filter(({ key, isFolder }) =>
      isFolder
        ? (key.startsWith(prefix) || prefix.startsWith(key)) && (key >= after || after.startsWith(key))
        : key.startsWith(prefix) && key > after,
    );
    const folders = names.filter(({ isFolder }) => isFolder);
    const ahead: Promise<readonly Name[]>[] = [];
    let next = 0;
    for (const { key, isFolder } of names) {
      if (!isFolder) {
        yield key;
        continue;
      }
      while (ahead.length < FOLDERS_AHEAD && next < folders.length)
        ahead.push(handled(this.#read((folders[next++] as Name).key)));
      yield* this.#walk(key, prefix, after, ahead.shift());
    }
  }

  /** What is in a folder ('' or ending in a slash), in the order of the keys. */
  async #read(folder: string): Promise<readonly Name[]> {
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true }).catch(ignoreMissing);
    return (entries ?? [])
      .filter((entry) => !entry.name.startsWith('.'))
      .map((entry) => ({ key: folder + entry.name + (entry.isDirectory() ? '/' : ''), isFolder: entry.isDirectory() }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Makes a folder and those above it; their names are durable when it resolves. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === this.#root || this.#synced.has(folder)) return;
    await this.#makeFolder(dirname(folder));
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
    await syncFolder(dirname(folder));
    this.#synced.add(folder);
  }

  /** Gives failures of the file system this package's codes. A full disk may have room later; for the rest somebody must do something. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (error instanceof RemoteStorageError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) throw error;
      throw new RemoteStorageError(
        ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code) ? 'refused' : 'unavailable',
        `remote storage in ${this.#root}: ${message}`,
        { cause: error },
      );
    }
  }
}

/** A name in a folder: an object's key, or the beginning of keys, up to a slash. */
interface Name {
  readonly key: string;
  readonly isFolder: boolean;
}

/** A promise that may never be waited for; who does wait sees its failure. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Links the source's file, if it has one that can be linked. @throws CorruptionError when it is not what the source promises */
async function linked(source: ObjectSource, path: string, signal: AbortSignal | undefined): Promise<boolean> {
  if (source.path === undefined) return false;
  try {
    await link(source.path, path);
  } catch (error) {
    // Another file system, one without links, a file with too many of them: it is copied.
    if (['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP'].some((code) => hasCode(error, code))) return false;
    throw error;
  }
  // What was linked is what is checked, whatever has the source's name by now.
  for await (const _ of checkedBytes({ ...fileSource(path, source), name: source.name })) signal?.throwIfAborted();
  return true;
}

async function write(path: string, source: ObjectSource, signal: AbortSignal | undefined): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of checkedBytes(source)) {
      signal?.throwIfAborted();
      for (let done = 0; done < chunk.length;) done += (await file.write(chunk, done)).bytesWritten;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The stream as a body: ends with the signal, and fails as remote storage does. */
function asBody(chunks: Readable, signal: AbortSignal | undefined): Readable {
  const body = new PassThrough({ highWaterMark: 256 * 1024 });
  pipeline(chunks, body, () => undefined); // the reader of the body sees the error
  if (signal !== undefined) {
    const abort = (): void => {
      body.destroy(signal.reason as Error);
    };
    if (signal.aborted) abort();
    else {
      signal.addEventListener('abort', abort, { once: true });
      body.once('close', () => signal.removeEventListener('abort', abort));
    }
  }
  return body;
}

function notFound(key: string, cause: unknown): RemoteStorageError {
  return new RemoteStorageError('not-found', `there is no object ${key}`, { cause });
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}

function ignoreMissing(error: unknown): undefined {
  if (!hasCode(error, 'ENOENT')) throw error;
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
