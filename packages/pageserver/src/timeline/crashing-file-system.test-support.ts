import { existsSync, readFileSync, renameSync, truncateSync, unlinkSync, writeFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type FileSystem, localFileSystem } from '../layers/file-system.ts';

/** Thrown by the operation that fails and by every one after a crash. */
export class InjectedFault extends Error {}

/**
 * The local file system with faults. The n-th changing operation fails, once or for ever (a crash); {@link loseUnsynced} then does to the files what a power failure may do: content that
 * was not synced is cut off, and changes of a directory that was not synced are undone, the newest first, as far as `random` says.
 */
export class CrashingFileSystem implements FileSystem {
  readonly #inner = localFileSystem;
  readonly #crash: boolean;
  readonly #failAt: number;
  readonly #dirty = new Set<string>();
  readonly #undo = new Map<string, (() => void)[]>();
  readonly #open = new Set<number>();
  #dead = false;
  /** Changing operations so far. */
  operations = 0;

  /**
   * @param failAt number of the changing operation to fail, from 0; infinity for none
   * @param crash true: everything fails from then on
   */
  constructor(failAt: number, crash: boolean) {
    this.#failAt = failAt;
    this.#crash = crash;
  }

  get crashed(): boolean {
    return this.#dead;
  }

  openForReading = (path: string): number =>
    this.#alive(() => {
      const fd = this.#inner.openForReading(path);
      this.#open.add(fd);
      return fd;
    });

  read = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number =>
    this.#alive(() => this.#inner.read(fd, bytes, offset, length, position));
  list = (path: string): string[] => this.#alive(() => this.#inner.list(path));
  readFile = (path: string): Uint8Array | undefined => this.#alive(() => this.#inner.readFile(path));
  size = (path: string): number | undefined => this.#alive(() => this.#inner.size(path));

  close(fd: number): void {
    // After the crash its descriptors are gone, and the numbers may be somebody else's.
    if (this.#open.delete(fd)) this.#inner.close(fd);
  }

  create(path: string): number {
    this.#step();
    const fd = this.#inner.create(path);
    this.#open.add(fd);
    this.#dirty.add(path);
    this.#later(path, () => unlinkSync(path));
    return fd;
  }

  write(fd: number, bytes: Uint8Array, offset: number, length: number): void {
    this.#step(() => this.#inner.write(fd, bytes, offset, Math.floor(length / 2)));
    this.#inner.write(fd, bytes, offset, length);
  }

  // It takes its turn, as the real one does, but the disk is not waited for: what is durable is what this class says.
  async sync(path: string): Promise<void> {
    this.#step();
    await new Promise((resolve) => setImmediate(resolve));
    this.#dirty.delete(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#step();
    await new Promise((resolve) => setImmediate(resolve));
    this.#undo.delete(path);
  }

  rename(from: string, to: string): Promise<void> {
    this.#step();
    const replaced = existsSync(to) ? readFileSync(to) : undefined;
    renameSync(from, to);
    if (this.#dirty.delete(from)) this.#dirty.add(to);
    this.#later(to, () => {
      renameSync(to, from);
      if (this.#dirty.delete(to)) this.#dirty.add(from);
      if (replaced !== undefined) writeFileSync(to, replaced);
    });
    return Promise.resolve();
  }

  unlink(path: string): void {
    this.#step();
    const content = readFileSync(path);
    unlinkSync(path);
    this.#later(path, () => writeFileSync(path, content));
  }

  removeDirectory(path: string): void {
    this.#step();
    this.#inner.removeDirectory(path);
  }

  makeDirectory(path: string): void {
    this.#step();
    this.#inner.makeDirectory(path);
  }

  /** What a power failure leaves. `random()` gives numbers in [0, 1). */
  loseUnsynced(random: () => number): void {
    for (const fd of this.#open) this.#inner.close(fd);
    this.#open.clear();
    for (const undo of this.#undo.values()) {
      const lost = Math.floor(random() * (undo.length + 1));
      for (const step of undo.splice(undo.length - lost).reverse()) step();
    }
    for (const path of this.#dirty) {
      if (existsSync(path)) truncateSync(path, Math.floor(random() * (statSync(path).size + 1)));
    }
  }

  #later(path: string, undo: () => void): void {
    const directory = dirname(path);
    const list = this.#undo.get(directory) ?? [];
    list.push(undo);
    this.#undo.set(directory, list);
  }

  #step(half?: () => void): void {
    if (this.#dead) throw new InjectedFault('the machine is down');
    if (this.operations++ === this.#failAt) {
      half?.();
      this.#dead = this.#crash;
      throw new InjectedFault('injected fault');
    }
  }

  #alive<T>(work: () => T): T {
    if (this.#dead) throw new InjectedFault('the machine is down');
    return work();
  }
}
