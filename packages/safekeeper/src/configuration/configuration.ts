import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthOptionsSchema, TlsOptionsSchema } from '@zenith/auth';
import type { NodeId } from '@zenith/consensus';
import * as v from 'valibot';
import { SafekeeperError } from '../errors.ts';

/** Name of the configuration file in the data directory. */
const CONFIGURATION_FILE_NAME = 'safekeeper.json';

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));
const address = v.strictObject({ host: v.pipe(v.string(), v.nonEmpty()), port });

const schema = v.strictObject({
  /** Names this safekeeper in the cluster. */
  id: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(1),
    v.transform((value) => value as NodeId),
  ),
  /** Where it speaks PostgreSQL's protocol; port 0 takes any. */
  listen: address,
  /** Where it speaks HTTP. */
  http: address,
  logLevel: v.optional(v.picklist(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), 'info'),
  /** Connections beyond this are closed at once. */
  connectionsMax: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000)), 1_000),
  /** Where whole segments are archived: a folder (absolute), or s3://bucket/prefix?endpoint=URL&region=NAME. Without it all WAL is kept here. */
  remoteStorage: v.optional(v.strictObject({ location: v.pipe(v.string(), v.nonEmpty(), v.maxLength(1024)) })),
  /** The other safekeepers, as far as they were known at the start; this one may be among them. WAL that was missed is copied from there while no compute runs. */
  peers: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          id: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
          host: v.pipe(v.string(), v.nonEmpty()),
          port,
          httpPort: port,
        }),
      ),
      v.maxLength(64),
    ),
    [],
  ),
  /** Whom to let in, and what to show other safekeepers; without it everybody is let in. */
  auth: v.optional(AuthOptionsSchema),
  /** Its certificate, and how it knows other safekeepers; without it connections are plain. */
  tls: v.optional(TlsOptionsSchema),
  /** A proposer's greeting for yet another timeline is refused. */
  timelinesMax: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000)), 10_000),
});

/** What safekeeper.json says. */
export type SafekeeperConfiguration = v.InferOutput<typeof schema>;

/** Reads and checks `dataDirectory/safekeeper.json`. @throws SafekeeperError `configuration-invalid` */
export function readConfiguration(dataDirectory: string): SafekeeperConfiguration {
  const path = join(dataDirectory, CONFIGURATION_FILE_NAME);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SafekeeperError('configuration-invalid', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return parseConfiguration(json, path);
}

/** Checks a configuration. @param source for the error's text. @throws SafekeeperError `configuration-invalid` */
export function parseConfiguration(json: unknown, source: string): SafekeeperConfiguration {
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new SafekeeperError(
    'configuration-invalid',
    `${source}: ${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`,
  );
}
