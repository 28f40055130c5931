import { PassThrough, pipeline, Readable } from 'node:stream';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { assert } from '@zenith/base';
import { RemoteStorageError } from '../errors.ts';
import type { RemoteLocation } from '../location.ts';
import { checkKey } from '../object-key.ts';
import { checkedBytes, type ObjectSource } from '../object-source.ts';
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
} from '../remote-storage.ts';
import { OPERATION_RETRIES, withRetries } from '../retry.ts';
import { s3Failure } from './s3-failure.ts';

/** Longest that a connection may take. Unit: ms. */
const CONNECT_TIMEOUT_MS = 5000;

/** A response, or the next bytes of one, must come within this time. Unit: ms. */
const SILENCE_MAX_MS = 30_000;

/** Slowest upload that is waited for. Unit: bytes per ms. */
const UPLOAD_BYTES_PER_MS_MIN = 256;

/** Connections at once. */
const CONNECTIONS_MAX = 16;

/** What fails is thrown; the SDK need not write it to the console as well. */
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** S3's bound on an object that is put in one piece. Unit: bytes. */
const OBJECT_BYTES_MAX = 5 * 1024 ** 3;

/**
 * Objects in a bucket of Amazon's S3 or of a store that speaks its protocol. Path style (the bucket is part of the path, not of the host), credentials by the SDK's chain (environment, ~/.aws,
 * roles). Each attempt has a deadline; the SDK's own retries are off, because it cannot repeat a body that is a stream.
 */
export class S3Storage implements RemoteStorage {
  readonly name: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(location: Extract<RemoteLocation, { kind: 's3' }>) {
    const { bucket, prefix, endpoint, region } = location;
    this.name = `s3://${bucket}/${prefix}`;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#client = new S3Client({
      forcePathStyle: true,
      region: region ?? process.env['AWS_REGION'] ?? 'us-east-1',
      maxAttempts: 1,
      logger: SILENT,
      // Bodies have our own checksum; stores other than Amazon's refuse the SDK's trailers.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: SILENCE_MAX_MS,
        httpAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
        httpsAgent: { keepAlive: true, maxSockets: CONNECTIONS_MAX },
      },
      ...(endpoint === undefined ? {} : { endpoint }),
    });
  }

  async put(key: string, source: ObjectSource, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    assert(source.length <= OBJECT_BYTES_MAX, 'an object can be put in one piece');
    const deadlineMs = SILENCE_MAX_MS + source.length / UPLOAD_BYTES_PER_MS_MIN;
    // A source that breaks off ends the request, for whose rest the server would wait, and is not tried again.
    const broken = new AbortController();
    const signal = options.signal === undefined ? broken.signal : AbortSignal.any([options.signal, broken.signal]);
    await this.#attempts(`put ${key}`, signal, deadlineMs, async (abortSignal) => {
      const body = Readable.from(reported(checkedBytes(source), broken), { objectMode: false });
      body.on('error', () => undefined); // reported
      try {
        await this.#client.send(
          new PutObjectCommand({
            Bucket: this.#bucket,
            Key: this.#prefix + key,
            Body: source.length === 0 ? new Uint8Array(0) : body,
            ContentLength: source.length,
            ChecksumCRC32C: checksumHeader(source.crc32c),
            ...(options.ifAbsent === true ? { IfNoneMatch: '*' } : {}),
          }),
          { abortSignal },
        );
      } finally {
        body.destroy();
      }
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<RemoteObject> {
    checkKey(key);
    const { range, signal } = options;
    assert(range === undefined || range.start < range.end, 'a range is not empty');
    return this.#attempts(`get ${key}`, signal, SILENCE_MAX_MS, async (abortSignal, done) => {
      const answer = await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#bucket,
          Key: this.#prefix + key,
          ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` }),
        }),
        { abortSignal },
      );
      done();
      const length = range === undefined ? answer.ContentLength : Number(answer.ContentRange?.split('/')[1]);
      if (!(answer.Body instanceof Readable) || length === undefined || !Number.isSafeInteger(length))
        throw new RemoteStorageError('unavailable', `get ${key}: an answer without body or length`);
      return { length, body: asBody(answer.Body, key, signal) };
    });
  }

  async head(key: string, options: OperationOptions = {}): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      return await this.#attempts(`head ${key}`, options.signal, SILENCE_MAX_MS, async (abortSignal) => {
        const { ContentLength: length = 0 } = await this.#client.send(
          new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key }),
          { abortSignal },
        );
        return { key, length };
      });
    } catch (error) {
      if (error instanceof RemoteStorageError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListPage> {
    const { after, limit = LIST_PAGE_MAX, signal } = options;
    assert(limit >= 1 && limit <= LIST_PAGE_MAX, 'a page of a listing has a bounded length');
    return this.#attempts(`list ${prefix}`, signal, SILENCE_MAX_MS, async (abortSignal) => {
      const answer = await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          MaxKeys: limit,
          ...(after === undefined ? {} : { StartAfter: this.#prefix + after }),
        }),
        { abortSignal },
      );
      const objects = (answer.Contents ?? []).map(({ Key = '', Size = 0 }) => ({
        key: Key.slice(this.#prefix.length),
        length: Size,
      }));
      return { objects, next: answer.IsTruncated === true ? objects.at(-1)?.key : undefined };
    });
  }

  async delete(keys: readonly string[], options: OperationOptions = {}): Promise<void> {
    assert(keys.length <= DELETE_KEYS_MAX, 'one delete has a bounded number of keys');
    if (keys.length === 0) return;
    keys.forEach(checkKey);
    await this.#attempts(`delete ${keys.length} objects`, options.signal, SILENCE_MAX_MS, async (abortSignal) => {
      const { Errors: failures = [] } = await this.#client.send(
        new DeleteObjectsCommand({
          Bucket: this.#bucket,
          Delete: { Objects: keys.map((key) => ({ Key: this.#prefix + key })), Quiet: true },
        }),
        { abortSignal },
      );
      const failure = failures.find(({ Code }) => Code !== 'NoSuchKey');
      if (failure !== undefined)
        throw new RemoteStorageError(
          failure.Code === 'AccessDenied' ? 'refused' : 'unavailable',
          `delete ${failure.Key ?? 'objects'}: ${failure.Code ?? ''} ${failure.Message ?? ''}`,
        );
    });
  }

  close(): void {
    this.#client.destroy();
  }

  /** Runs attempts, each with a deadline of its own until it calls `done`. */
  async #attempts<T>(
    what: string,
    signal: AbortSignal | undefined,
    deadlineMs: number,
    attempt: (abortSignal: AbortSignal, done: () => void) => Promise<T>,
  ): Promise<T> {
    return withRetries(OPERATION_RETRIES, signal, async () => {
      const deadline = new AbortController();
      const timer = setTimeout(
        () => deadline.abort(new RemoteStorageError('unavailable', `${what}: no answer in time`)),
        deadlineMs,
      );
      const done = (): void => clearTimeout(timer);
      try {
        return await attempt(signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]), done);
      } catch (error) {
        signal?.throwIfAborted();
        throw s3Failure(deadline.signal.aborted ? deadline.signal.reason : error, `${this.name}: ${what}`);
      } finally {
        done();
      }
    });
  }
}

/** The chunks, and an abort when they fail. */
async function* reported(chunks: AsyncIterable<Uint8Array>, broken: AbortController): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    broken.abort(error);
    throw error;
  }
}

/** A checksum as S3 wants it: big-endian, base64. */
function checksumHeader(crc32c: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32c);
  return bytes.toString('base64');
}

/** The response's stream as a body: ends with the signal, fails when nothing comes for a while, and fails as remote storage does. */
function asBody(response: Readable, key: string, signal: AbortSignal | undefined): Readable {
  const body = new PassThrough({ highWaterMark: 256 * 1024 });
  const fail = (error: unknown): void => {
    if (!body.destroyed) body.destroy(s3Failure(error, `get ${key}`));
  };
  const abort = (): void => {
    body.destroy(signal?.reason as Error);
  };
  let timer = setTimeout(() => undefined, 0);
  const watch = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      // A reader that does not read keeps the storage silent.
      if (body.writableNeedDrain) watch();
      else fail(new RemoteStorageError('unavailable', `get ${key}: the storage fell silent`));
    }, SILENCE_MAX_MS);
  };
  watch();
  response.on('data', watch);
  response.once('error', fail);
  response.once('aborted', () => fail(new RemoteStorageError('unavailable', `get ${key}: the connection was lost`)));
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  body.once('close', () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  });
  pipeline(response, body, () => undefined); // the reader of the body sees the error
  return body;
}
