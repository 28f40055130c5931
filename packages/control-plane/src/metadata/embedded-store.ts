import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CorruptionError } from '@zenith/base';
import * as v from 'valibot';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import { withProcessLock } from '../process/process-lock.ts';
import {
  METADATA_BYTES_MAX,
  type JsonValue,
  type MetadataEntry,
  type MetadataStore,
  type MetadataTransaction,
} from './metadata-store.ts';
import { replaceFile, replaceFileMeanwhile } from './replace-file.ts';

const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const fileSchema = v.strictObject({
  format: v.literal(1),
  revision: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  entries: v.record(v.string(), v.strictObject({ revision, value: v.unknown() })),
});

interface State {
  readonly revision: number;
  readonly entries: ReadonlyMap<string, MetadataEntry>;
}

/** Content that was read, and which file it was: every change makes another file. */
interface CachedState {
  readonly inode: bigint;
  readonly changedNs: bigint;
  readonly state: State;
}

/** How long a writer waits for others. Each holds the lock for two fsyncs. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 10_000;

/**
 * The store in one JSON file. Readers take no lock: the file is only ever replaced whole. Writers exclude each other by a process lock, so that any number
 * of `zenith` commands may run at once.
 */
export class EmbeddedMetadataStore implements MetadataStore {
  readonly #path: string;
  readonly #lockFolder: string;
  #cached: CachedState | undefined;

  /**
   * @param path the file; made by {@link EmbeddedMetadataStore.create}
   * @param lockFolder where the lock that writers take lives
   */
  constructor(path: string, lockFolder: string) {
    this.#path = path;
    this.#lockFolder = lockFolder;
  }

  /** Writes an empty store. The caller makes sure that there was none. */
  static create(path: string): void {
    replaceFile(path, encode(path, { revision: 0, entries: new Map() }));
  }

  get(key: string): Promise<MetadataEntry | undefined> {
    return Promise.resolve().then(() => this.#read().entries.get(key));
  }

  list(prefix: string): Promise<MetadataEntry[]> {
    return Promise.resolve().then(() =>
      [...this.#read().entries.values()]
        .filter((entry) => entry.key.startsWith(prefix))
        .sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
  }

  commit(transaction: MetadataTransaction): Promise<boolean> {
    return withProcessLock(
      this.#lockFolder,
      'metadata',
      { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is writing the metadata' },
      async () => {
        const old = this.#read();
        if (
          transaction.expect.some(({ key, revision: expected }) => (old.entries.get(key)?.revision ?? 0) !== expected)
        )
          return false;
        const state = { revision: old.revision + 1, entries: new Map(old.entries) };
        for (const key of transaction.remove ?? []) state.entries.delete(key);
        for (const { key, value } of transaction.put ?? [])
          state.entries.set(key, { key, value, revision: state.revision });
        await replaceFileMeanwhile(this.#path, encode(this.#path, state));
        return true;
      },
    );
  }

  #read(): State {
    let fd: number;
    try {
      fd = openSync(this.#path, 'r');
    } catch (error) {
      if (isSystemError(error, 'ENOENT'))
        throw new CorruptionError('the metadata store is missing', { source: this.#path }, { cause: error });
      throw new ControlPlaneError('system', `cannot read ${this.#path}: ${(error as Error).message}`, { cause: error });
    }
    try {
      const { ino: inode, ctimeNs: changedNs } = fstatSync(fd, { bigint: true });
      if (this.#cached?.inode !== inode || this.#cached.changedNs !== changedNs) {
        this.#cached = { inode, changedNs, state: this.#parse(readFileSync(fd, 'utf8')) };
      }
      return this.#cached.state;
    } finally {
      closeSync(fd);
    }
  }

  #parse(text: string): State {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw new CorruptionError(
        `the metadata store is not JSON: ${(error as Error).message}`,
        { source: this.#path },
        { cause: error },
      );
    }
    const parsed = v.safeParse(fileSchema, json);
    if (!parsed.success) {
      const issue = parsed.issues[0];
      throw new CorruptionError(
        `the metadata store is not of format 1: ${v.getDotPath(issue) ?? 'top level'}: ${issue.message}`,
        { source: this.#path },
      );
    }
    const entries = Object.entries(parsed.output.entries).map(
      ([key, { revision: at, value }]): [string, MetadataEntry] => [
        key,
        { key, value: value as JsonValue, revision: at },
      ],
    );
    return { revision: parsed.output.revision, entries: new Map(entries) };
  }
}

/** The store's file. @param path for messages */
function encode(path: string, state: State): string {
  const entries = Object.fromEntries(
    [...state.entries.values()].map(({ key, revision: at, value }) => [key, { revision: at, value }]),
  );
  const text = `${JSON.stringify({ format: 1, revision: state.revision, entries }, undefined, 2)}\n`;
  if (Buffer.byteLength(text) > METADATA_BYTES_MAX) {
    throw new ControlPlaneError(
      'system',
      `the metadata store ${path} would grow over ${METADATA_BYTES_MAX} bytes; remove branches or endpoints first`,
    );
  }
  return text;
}
