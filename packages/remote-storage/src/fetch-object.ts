import { CorruptionError, crc32c } from '@zenith/base';
import type { OperationOptions, RemoteStorage } from './remote-storage.ts';
import { OPERATION_RETRIES, withRetries } from './retry.ts';

/** What an object must be. */
export interface ExpectedObject {
  /** Unit: bytes. */
  readonly length: number;
  readonly crc32c: number;
}

/** Where the bytes of a {@link fetchObject} go. */
export interface ObjectSink {
  /** Called at the beginning of each attempt: what came before is void. */
  begin(): Promise<void> | void;
  /** The chunk is the sink's to keep. */
  write(chunk: Uint8Array): Promise<void> | void;
}

/**
 * Reads a whole object into `sink`, again from the beginning when the connection is lost on the way, and checks it.
 * @throws CorruptionError naming the object when length or checksum is not as expected; RemoteStorageError `not-found`, `unavailable`, `refused`; what the sink throws
 */
export async function fetchObject(
  storage: RemoteStorage,
  key: string,
  expected: ExpectedObject,
  sink: ObjectSink,
  options: OperationOptions = {},
): Promise<void> {
  await withRetries(OPERATION_RETRIES, options.signal, async () => {
    await sink.begin();
    const { body, length: found } = await storage.get(key, options);
    let length = 0;
    let crc = 0;
    try {
      if (found !== expected.length) throw corrupt(storage, key, `has ${found} bytes, not ${expected.length}`);
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        length += chunk.length;
        crc = crc32c(chunk, 0, chunk.length, crc);
        await sink.write(chunk);
      }
    } finally {
      body.destroy();
    }
    if (length !== expected.length) throw corrupt(storage, key, `ended after ${length} of ${expected.length} bytes`);
    if (crc !== expected.crc32c) throw corrupt(storage, key, 'has a wrong checksum');
  });
}

/**
 * Reads a small object whole; the bytes are the caller's. Its checksum is for the caller to check.
 * @param lengthMax a longer one is refused before it is read. Unit: bytes
 * @throws CorruptionError when it is longer; RemoteStorageError `not-found`, `unavailable`, `refused`
 */
export async function fetchBytes(
  storage: RemoteStorage,
  key: string,
  lengthMax: number,
  options: OperationOptions = {},
): Promise<Uint8Array> {
  return withRetries(OPERATION_RETRIES, options.signal, async () => {
    const { body, length } = await storage.get(key, options);
    const chunks: Uint8Array[] = [];
    try {
      if (length > lengthMax) throw corrupt(storage, key, `has ${length} bytes, at most ${lengthMax} make sense`);
      for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk);
    } finally {
      body.destroy();
    }
    return Buffer.concat(chunks);
  });
}

/**
 * Reads bytes `[start, end)` of an object; they are the caller's. Their checksum is for the caller to check.
 * @param length what the whole object must have. Unit: bytes
 * @throws CorruptionError naming the object when it has another length; RemoteStorageError `not-found`, `unavailable`, `refused`
 */
export async function fetchRange(
  storage: RemoteStorage,
  key: string,
  length: number,
  range: { readonly start: number; readonly end: number },
  options: OperationOptions = {},
): Promise<Uint8Array> {
  return withRetries(OPERATION_RETRIES, options.signal, async () => {
    const { body, length: found } = await storage.get(key, { ...options, range });
    const bytes = new Uint8Array(range.end - range.start);
    let at = 0;
    try {
      if (found !== length) throw corrupt(storage, key, `has ${found} bytes, not ${length}`);
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        if (at + chunk.length > bytes.length) throw corrupt(storage, key, 'gave more than was asked for');
        bytes.set(chunk, at);
        at += chunk.length;
      }
    } finally {
      body.destroy();
    }
    if (at !== bytes.length) throw corrupt(storage, key, `ended ${bytes.length - at} bytes early`);
    return bytes;
  });
}

function corrupt(storage: RemoteStorage, key: string, what: string): CorruptionError {
  return new CorruptionError(`the object ${what}`, { source: `${storage.name}: ${key}` });
}
