import type { Disk, DiskFile } from '../disk/disk.ts';
import { localDisk } from '../disk/local-disk.ts';

/** What a file operation is about to do. */
export interface Operation {
  readonly kind: 'create' | 'open' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove' | 'syncDirectory';
  readonly path: string;
}

/** The local disk with a say in every operation that changes something. */
export class FaultyDisk implements Disk {
  /** Every operation so far. */
  readonly operations: Operation[] = [];
  /** Called before each operation; what it throws is what the disk says. */
  onOperation: (operation: Operation) => void = () => undefined;
  /** When set, syncs of files wait for it. */
  syncGate: Promise<void> | undefined;

  open(path: string, mode: 'read' | 'write'): DiskFile {
    if (mode === 'write') this.#note('open', path);
    return this.#wrap(localDisk.open(path, mode), path);
  }

  create(path: string): DiskFile {
    this.#note('create', path);
    return this.#wrap(localDisk.create(path), path);
  }

  readFile(path: string): Uint8Array | undefined {
    return localDisk.readFile(path);
  }

  exists(path: string): boolean {
    return localDisk.exists(path);
  }

  list(path: string): readonly string[] {
    return localDisk.list(path);
  }

  makeDirectory(path: string): void {
    localDisk.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#note('rename', to);
    localDisk.rename(from, to);
  }

  remove(path: string): void {
    this.#note('remove', path);
    localDisk.remove(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#note('syncDirectory', path);
    await localDisk.syncDirectory(path);
  }

  /** How many operations of this kind there were on paths that end so. */
  count(kind: Operation['kind'], suffix: RegExp): number {
    return this.operations.filter((operation) => operation.kind === kind && suffix.test(operation.path)).length;
  }

  #note(kind: Operation['kind'], path: string): void {
    const operation = { kind, path };
    this.operations.push(operation);
    this.onOperation(operation);
  }

  #wrap(file: DiskFile, path: string): DiskFile {
    return {
      write: (...args) => {
        this.#note('write', path);
        file.write(...args);
      },
      writeInBackground: async (...args) => {
        this.#note('write', path);
        await file.writeInBackground(...args);
      },
      read: (...args) => file.read(...args),
      readCached: (...args) => file.readCached(...args),
      sync: async () => {
        this.#note('sync', path);
        await this.syncGate;
        await file.sync();
      },
      truncate: (length) => {
        this.#note('truncate', path);
        file.truncate(length);
      },
      close: () => file.close(),
    };
  }
}
