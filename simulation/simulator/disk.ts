import { dirname } from 'node:path';
import type { Disk, DiskFile } from '@zenith/safekeeper';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { Counters } from './counters.ts';
import type { Events } from './events.ts';

/** Unit of the page cache. Unit: bytes. */
const PAGE = 4096;

/** What a disk writes in one piece, or not at all. Unit: bytes. */
const SECTOR = 512;

const ZEROES = Buffer.alloc(PAGE);

/** Content of a file, page by page; a page that is not there is zeroes. */
type Pages = Map<number, Buffer>;

/** A file, whatever its name: what programs see, and what a power failure leaves. */
interface Inode {
  size: number;
  readonly pages: Pages;
  durableSize: number;
  readonly durable: Pages;
  /** Pages that may be written to the disk at any time, and are at the next sync. */
  readonly dirty: Set<number>;
  /** Pages that a sync is writing. */
  readonly underWay: Set<number>;
}

interface Directory {
  readonly names: Map<string, Inode>;
  /** What a power failure shows for sure. */
  readonly durable: Map<string, Inode>;
  /** Changes of names since, in order. A power failure keeps the first few. */
  pending: ((names: Map<string, Inode>) => void)[];
}

/** What a simulated disk says when it fails. */
export class SimulatedError extends Error {
  readonly code: string;

  constructor(code: string, what: string) {
    super(`${code}: ${what}`);
    this.code = code;
  }
}

/**
 * A disk with a page cache. A process that is killed leaves the cache as it is; a power failure leaves what was synced, and of the rest any sectors, sizes and names that happened to be written. After a sync that failed the cache says what
 * was written and believes it is on the disk, which it is not: that is what Linux does.
 */
export class SimulatedDisk {
  readonly #events: Events;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #directories = new Map<string, Directory>();
  /** Processes that used it before; what they still wait for never comes. */
  #process = 0;
  /** Every operation takes so many times as long. */
  slowness = 1;
  full = false;
  /** The next sync fails, of a file or a directory. */
  failsNextSync = false;
  #hasFailed = false;

  constructor(events: Events, random: Random, counters: Counters) {
    this.#events = events;
    this.#random = random;
    this.#counters = counters;
  }

  /** A sync has failed since the process that uses it began, whether that one has noticed yet or not. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** The disk as a new process sees it. */
  mount(): Disk {
    const process = ++this.#process;
    this.#hasFailed = false;
    return {
      open: (path, mode) => {
        const inode = this.#find(path);
        if (inode === undefined) throw new SimulatedError('ENOENT', path);
        return this.#file(inode, process, mode === 'write');
      },
      create: (path) => {
        this.#checkRoom(path);
        const inode = newInode();
        this.#rename(dirname(path), (names) => names.set(path, inode));
        return this.#file(inode, process, true);
      },
      readFile: (path) => {
        const inode = this.#find(path);
        if (inode === undefined) return undefined;
        const bytes = new Uint8Array(inode.size);
        readPages(inode, bytes, 0, inode.size, 0);
        return bytes;
      },
      exists: (path) => this.#find(path) !== undefined || this.#directories.has(path),
      list: (path) => this.#list(path),
      makeDirectory: (path) => {
        for (let at = path; at !== dirname(at); at = dirname(at)) this.#directory(at);
      },
      rename: (from, to) => this.#renameAny(from, to),
      remove: (path) => {
        this.#directories.delete(path);
        this.#rename(dirname(path), (names) => names.delete(path));
      },
      syncDirectory: async (path) => {
        await this.#wait(process, 0.05);
        this.#failWhenDue('sync of a directory failed');
        const directory = this.#directory(path);
        for (const change of directory.pending) change(directory.durable);
        directory.pending = [];
      },
    };
  }

  /** The process is gone; its operations under way may have been carried out, and nobody learns of it. */
  kill(): void {
    this.#process++;
  }

  /** Power fails. */
  crash(): void {
    this.#process++;
    for (const directory of this.#directories.values()) {
      const kept = this.#random.below(directory.pending.length + 1);
      if (kept < directory.pending.length) this.#counters.count('crash lost names');
      for (const change of directory.pending.slice(0, kept)) change(directory.durable);
      directory.pending = [];
      directory.names.clear();
      for (const [path, inode] of directory.durable) directory.names.set(path, inode);
    }
    for (const directory of this.#directories.values()) for (const inode of directory.names.values()) this.#lose(inode);
  }

  /** What a program would read now, without any fault; for the checker. */
  peek(path: string, position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const inode = this.#find(path);
    if (inode !== undefined) readPages(inode, bytes, 0, length, position);
    return bytes;
  }

  #lose(inode: Inode): void {
    for (const number of new Set([...inode.underWay, ...inode.dirty])) {
      const written = inode.pages.get(number) ?? ZEROES;
      const durable = Buffer.from(inode.durable.get(number) ?? ZEROES);
      let lost = 0;
      let kept = 0;
      for (let sector = 0; sector < PAGE; sector += SECTOR) {
        if (written.compare(durable, sector, sector + SECTOR, sector, sector + SECTOR) === 0) continue;
        if (this.#random.chance(0.5)) {
          written.copy(durable, sector, sector, sector + SECTOR);
          kept++;
        } else lost++;
      }
      if (lost > 0) this.#counters.count('crash lost unsynced bytes');
      if (lost > 0 && kept > 0) this.#counters.count('crash tore a page');
      inode.durable.set(number, durable);
    }
    inode.dirty.clear();
    inode.underWay.clear();
    if (inode.durableSize !== inode.size && this.#random.chance(0.5)) inode.durableSize = inode.size;
    inode.size = inode.durableSize;
    inode.pages.clear();
    for (const [number, page] of inode.durable)
      if ((number + 1) * PAGE <= inode.size) inode.pages.set(number, Buffer.from(page));
      else if (number * PAGE < inode.size)
        inode.pages.set(number, Buffer.from(page).fill(0, inode.size - number * PAGE));
  }

  #file(inode: Inode, process: number, writable: boolean): DiskFile {
    const write = (bytes: Uint8Array, offset: number, length: number, position: number): void => {
      if (!writable) throw new SimulatedError('EBADF', 'the file is open for reading');
      if (process !== this.#process) throw new SimulatedError('EIO', 'the process is gone');
      this.#checkRoom('a write');
      writePages(inode, bytes, offset, length, position);
    };
    const read = (bytes: Uint8Array, offset: number, length: number, position: number): number => {
      const count = Math.max(0, Math.min(length, inode.size - position));
      readPages(inode, bytes, offset, count, position);
      return count;
    };
    return {
      write,
      writeInBackground: async (bytes, offset, length, position) => {
        await this.#wait(process, 0.1);
        write(bytes, offset, length, position);
      },
      read: async (...args) => {
        await Promise.resolve();
        return read(...args);
      },
      readCached: read,
      sync: async () => {
        const pages = [...inode.dirty];
        const { size } = inode;
        inode.dirty.clear();
        for (const number of pages) inode.underWay.add(number);
        await this.#wait(process, 0.2);
        for (const number of pages) inode.underWay.delete(number);
        this.#failWhenDue('sync failed');
        for (const number of pages) {
          const page = inode.pages.get(number);
          const durable = inode.durable.get(number);
          if (page === undefined) inode.durable.delete(number);
          else if (durable === undefined) inode.durable.set(number, Buffer.from(page));
          else page.copy(durable);
        }
        inode.durableSize = size;
      },
      truncate: (length) => {
        if (length > inode.size) this.#checkRoom('a truncation');
        cut(inode, length);
      },
      close: () => undefined,
    };
  }

  /** Resolves after about so long, unless the process is gone by then. */
  #wait(process: number, meanMs: number): Promise<void> {
    const delayMs = meanMs * (0.5 + this.#random.next()) * this.slowness;
    return new Promise((resolve) => {
      this.#events.after(delayMs, () => {
        if (process === this.#process) resolve();
      });
    });
  }

  #failWhenDue(what: string): void {
    if (!this.failsNextSync) return;
    this.failsNextSync = false;
    this.#hasFailed = true;
    this.#counters.count(what);
    throw new SimulatedError('EIO', what);
  }

  #checkRoom(what: string): void {
    if (!this.full) return;
    this.#counters.count('disk was full');
    throw new SimulatedError('ENOSPC', what);
  }

  #directory(path: string): Directory {
    let directory = this.#directories.get(path);
    if (directory === undefined) {
      directory = { names: new Map(), durable: new Map(), pending: [] };
      this.#directories.set(path, directory);
    }
    return directory;
  }

  #find(path: string): Inode | undefined {
    return this.#directories.get(dirname(path))?.names.get(path);
  }

  #list(path: string): readonly string[] {
    const prefix = `${path}/`;
    const names = [...(this.#directories.get(path)?.names.keys() ?? []), ...this.#directories.keys()];
    const direct = names.filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'));
    return [...new Set(direct)].map((name) => name.slice(prefix.length)).toSorted();
  }

  #rename(path: string, change: (names: Map<string, Inode>) => void): void {
    const directory = this.#directory(path);
    change(directory.names);
    directory.pending.push(change);
  }

  /** A directory moves with all it holds, at once and durably: a timeline is made that way, and made again when that fails. */
  #renameAny(from: string, to: string): void {
    const directory = this.#directories.get(from);
    if (directory !== undefined) {
      const moved: Directory = { names: new Map(), durable: new Map(), pending: [] };
      for (const [path, inode] of directory.names) moved.names.set(to + path.slice(from.length), inode);
      for (const [path, inode] of directory.durable) moved.durable.set(to + path.slice(from.length), inode);
      this.#directories.delete(from);
      this.#directories.set(to, moved);
      return;
    }
    const inode = this.#find(from);
    if (inode === undefined) throw new SimulatedError('ENOENT', from);
    this.#rename(dirname(from), (names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }
}

function newInode(): Inode {
  return { size: 0, pages: new Map(), durableSize: 0, durable: new Map(), dirty: new Set(), underWay: new Set() };
}

function readPages(inode: Inode, bytes: Uint8Array, offset: number, length: number, position: number): void {
  for (let done = 0; done < length;) {
    const number = Math.floor((position + done) / PAGE);
    const from = (position + done) % PAGE;
    const count = Math.min(length - done, PAGE - from);
    bytes.set((inode.pages.get(number) ?? ZEROES).subarray(from, from + count), offset + done);
    done += count;
  }
}

function writePages(inode: Inode, bytes: Uint8Array, offset: number, length: number, position: number): void {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length);
  for (let done = 0; done < length;) {
    const number = Math.floor((position + done) / PAGE);
    const from = (position + done) % PAGE;
    const count = Math.min(length - done, PAGE - from);
    let page = inode.pages.get(number);
    const zeroes = ZEROES.compare(source, done, done + count, 0, count) === 0;
    if (page !== undefined || !zeroes) {
      if (page === undefined) {
        page = Buffer.alloc(PAGE);
        inode.pages.set(number, page);
      }
      source.copy(page, from, done, done + count);
      inode.dirty.add(number);
    }
    done += count;
  }
  inode.size = Math.max(inode.size, position + length);
}

function cut(inode: Inode, length: number): void {
  for (const [number, page] of inode.pages) {
    if (number * PAGE < length && (number + 1) * PAGE <= length) continue;
    page.fill(0, Math.max(0, length - number * PAGE));
    inode.dirty.add(number);
  }
  inode.size = length;
}
