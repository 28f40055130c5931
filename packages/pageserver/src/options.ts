import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthOptionsSchema, TlsOptionsSchema } from '@zenith/auth';
import * as v from 'valibot';
import { PageserverError } from './errors.ts';
import { COMPRESSIONS } from './layers/packed-chunk.ts';
import { DEFAULT_STORAGE_OPTIONS, type StorageOptions } from './timeline/options.ts';

const MIB = 1024 * 1024;

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535));
const host = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
const bytes = v.pipe(v.number(), v.integer(), v.minValue(MIB));
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(24 * 3600 * 1000));

const storage = v.strictObject({
  memoryBytes: v.optional(v.pipe(bytes, v.minValue(64 * MIB)), DEFAULT_STORAGE_OPTIONS.memoryBytes),
  pageCacheBytes: v.optional(bytes, DEFAULT_STORAGE_OPTIONS.pageCacheBytes),
  indexCacheBytes: v.optional(bytes, DEFAULT_STORAGE_OPTIONS.indexCacheBytes),
  /** Layer files may have so much of the disk; without it they stay. */
  diskBytes: v.optional(bytes, Number.MAX_SAFE_INTEGER),
  checkpointDistanceBytes: v.optional(bytes, DEFAULT_STORAGE_OPTIONS.checkpointDistanceBytes),
  layerBytesTarget: v.optional(bytes, DEFAULT_STORAGE_OPTIONS.layerBytesTarget),
  /** How new layer files are compressed. */
  compression: v.optional(v.picklist(COMPRESSIONS), DEFAULT_STORAGE_OPTIONS.compression),
  /** Threads that merge layers and write images; 0: the thread that serves pages does it, between reads. */
  compactionWorkers: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(16)),
    DEFAULT_STORAGE_OPTIONS.compactionWorkers,
  ),
});

/** The safekeepers that WAL comes from. */
export const SafekeepersSchema = v.pipe(
  v.array(v.strictObject({ id: v.union([v.number(), v.string()]), host, port, httpPort: port })),
  v.maxLength(64),
);

const schema = v.strictObject({
  /** Where the page protocol is spoken. Port 0: any free one. */
  listen: v.strictObject({ host, port }),
  /** Path of a Unix socket that speaks it, too. */
  unixSocket: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(100))),
  /** Where the HTTP API is. */
  http: v.strictObject({ host, port }),
  /** Where WAL comes from. */
  safekeepers: v.optional(SafekeepersSchema, []),
  /** How long a page request waits for WAL that has not been ingested yet. Unit: ms. */
  waitTimeoutMs: v.optional(milliseconds, 60_000),
  /** What was ingested is made durable at least so often, however little it is. Unit: ms. */
  flushIntervalMs: v.optional(v.pipe(milliseconds, v.minValue(100)), 120_000),
  /** How much history can be read: as much as both say. */
  history: v.optional(
    v.strictObject({
      /** Unit: ms. */
      timeMs: v.pipe(v.number(), v.integer(), v.minValue(0)),
      bytes: v.pipe(v.number(), v.integer(), v.minValue(0)),
    }),
    { timeMs: 7 * 24 * 3600 * 1000, bytes: 256 * MIB },
  ),
  /** How often history that is not kept is dropped. Unit: ms. */
  gcIntervalMs: v.optional(v.pipe(milliseconds, v.minValue(1000)), 600_000),
  /** Where layers and indexes go as well, so that they outlive this disk. */
  remoteStorage: v.optional(
    v.strictObject({
      /** A folder (absolute), or s3://bucket/prefix?endpoint=URL&region=NAME. */
      location: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)),
      /** This start's: higher than that of any pageserver before that had the same timelines. */
      generation: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff_ffff)),
    }),
  ),
  /** Whom to let in, and what to show safekeepers; without it everybody is let in. */
  auth: v.optional(AuthOptionsSchema),
  /** Its certificate, and how it knows safekeepers; without it connections are plain. */
  tls: v.optional(TlsOptionsSchema),
  /** Memory and files of the storage engine. */
  storage: v.optional(storage, {}),
  logLevel: v.optional(v.picklist(['trace', 'debug', 'info', 'warn', 'error']), 'info'),
});

/** What pageserver.json says, defaults filled in. */
export type PageserverOptions = v.InferOutput<typeof schema>;

/** One safekeeper, as configured. */
export type SafekeeperAddress = PageserverOptions['safekeepers'][number];

/** Name of the configuration file in the data directory. */
export const CONFIGURATION_FILE = 'pageserver.json';

/** Checks a configuration and fills in defaults; unknown keys are refused. @throws PageserverError `invalid-configuration` */
export function parseOptions(json: unknown, source: string): PageserverOptions {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  throw new PageserverError('invalid-configuration', `${source}: ${path === null ? '' : `${path}: `}${issue.message}`);
}

/** Reads the configuration of a data directory. @throws PageserverError `invalid-configuration` */
export function readOptions(dataDirectory: string): PageserverOptions {
  const path = join(dataDirectory, CONFIGURATION_FILE);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new PageserverError('invalid-configuration', `${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  return parseOptions(json, path);
}

/** The storage engine's options for a configuration. */
export function storageOptions(options: PageserverOptions): StorageOptions {
  return { ...DEFAULT_STORAGE_OPTIONS, ...options.storage };
}
