import {
  bytesSource,
  RemoteStorageError,
  type GetOptions,
  type ListOptions,
  type ListPage,
  type ObjectInfo,
  type ObjectSource,
  type OperationOptions,
  type PutOptions,
  type RemoteObject,
  type RemoteStorage,
} from '@zenith/remote-storage';

/** An operation on a {@link FaultyStorage}. */
export interface StorageOperation {
  /** Counts all operations, from 0. */
  readonly number: number;
  readonly kind: 'put' | 'get' | 'head' | 'list' | 'delete';
  /** The key, the prefix, or the first key. */
  readonly key: string;
}

/**
 * What becomes of an operation: `fail`: nothing happens, and it fails. `lose-response`: it happens, and fails. `tear`: a put breaks off in the middle; other operations fail. A promise: it happens
 * when that resolves, and fails when that rejects. Undefined: it happens.
 */
export type StorageFault = 'fail' | 'lose-response' | 'tear' | Promise<void> | undefined;

/** Remote storage that fails as it is told: the n-th operation, everything from some moment on, slowly, or after the effect. */
export class FaultyStorage implements RemoteStorage {
  readonly name: string;
  /** Decides for each operation. */
  fault: (operation: StorageOperation) => StorageFault = () => undefined;
  /** Every operation so far. */
  readonly operations: StorageOperation[] = [];
  readonly #inner: RemoteStorage;

  constructor(inner: RemoteStorage) {
    this.#inner = inner;
    this.name = inner.name;
  }

  async put(key: string, source: ObjectSource, options?: PutOptions): Promise<void> {
    const operation = this.#operation('put', key);
    await this.#run(
      operation,
      () => this.#inner.put(key, source, options),
      () => this.#inner.put(key, torn(source), options),
    );
  }

  get(key: string, options?: GetOptions): Promise<RemoteObject> {
    return this.#run(this.#operation('get', key), () => this.#inner.get(key, options));
  }

  head(key: string, options?: OperationOptions): Promise<ObjectInfo | undefined> {
    return this.#run(this.#operation('head', key), () => this.#inner.head(key, options));
  }

  list(prefix: string, options?: ListOptions): Promise<ListPage> {
    return this.#run(this.#operation('list', prefix), () => this.#inner.list(prefix, options));
  }

  delete(keys: readonly string[], options?: OperationOptions): Promise<void> {
    return this.#run(this.#operation('delete', keys[0] ?? ''), () => this.#inner.delete(keys, options));
  }

  close(): void {
    this.#inner.close();
  }

  #operation(kind: StorageOperation['kind'], key: string): StorageOperation {
    const operation = { number: this.operations.length, kind, key };
    this.operations.push(operation);
    return operation;
  }

  async #run<T>(operation: StorageOperation, work: () => Promise<T>, tear?: () => Promise<T>): Promise<T> {
    const fault = this.fault(operation);
    const failure = new RemoteStorageError('unavailable', `injected fault: ${operation.kind} ${operation.key}`);
    if (fault === 'fail') throw failure;
    if (fault === 'tear') {
      await tear?.().catch(() => undefined);
      throw failure;
    }
    if (fault === 'lose-response') {
      await work();
      throw failure;
    }
    await fault;
    return work();
  }
}

function torn(source: ObjectSource): ObjectSource {
  const { name, length, crc32c } = source;
  return {
    ...bytesSource(name, new Uint8Array(0)),
    length,
    crc32c,
    async *open() {
      let left = Math.floor(length / 2);
      for await (const chunk of source.open()) {
        if (left <= chunk.length) {
          yield chunk.subarray(0, left);
          break;
        }
        left -= chunk.length;
        yield chunk;
      }
      throw new Error('the upload broke off');
    },
  };
}
