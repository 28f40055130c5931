import { bearerHeaders, requestOver, type Tokens } from '@zenith/auth';
import {
  formatLsn,
  parseLsn,
  parseTenantId,
  parseTimelineId,
  type Lsn,
  type TenantId,
  type TimelineId,
} from '@zenith/base';
import * as v from 'valibot';
import { PageserverError } from '../errors.ts';
import type { SafekeeperAddress } from '../options.ts';

/** Longest list of timelines that is read: about 20,000 of them. Unit: bytes. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

/** Bound on one look at a safekeeper. Unit: ms. */
const TIMEOUT_MS = 3000;

/** What a safekeeper says of one timeline. */
export interface SafekeeperTimeline {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** WAL up to here is committed, and can be had. */
  readonly commitLsn: Lsn;
  /** What it was told that a pageserver has in remote storage: it keeps WAL above. */
  readonly remoteConsistentLsn: Lsn;
}

const schema = v.array(
  v.object({
    tenant: v.string(),
    timeline: v.string(),
    commitLsn: v.string(),
    remoteConsistentLsn: v.optional(v.string(), '0/0'),
  }),
);

/** Asks a safekeeper which timelines it has. @throws PageserverError `wal-source-failed` when it does not answer, or not as it should */
export async function listSafekeeperTimelines(
  safekeeper: SafekeeperAddress,
  tokens: Tokens,
): Promise<SafekeeperTimeline[]> {
  const where = `safekeeper ${safekeeper.id} at ${safekeeper.host}:${safekeeper.httpPort}`;
  try {
    const timelines = v.parse(schema, JSON.parse(await call(safekeeper, tokens, undefined, 'GET', '/v1/timelines')));
    return timelines.map((entry) => ({
      tenant: parseTenantId(entry.tenant),
      timeline: parseTimelineId(entry.timeline),
      commitLsn: parseLsn(entry.commitLsn),
      remoteConsistentLsn: parseLsn(entry.remoteConsistentLsn),
    }));
  } catch (cause) {
    throw new PageserverError('wal-source-failed', `${where}: ${(cause as Error).message}`, { cause });
  }
}

/** Tells a safekeeper up to where remote storage has a timeline's layers. The one whose WAL is followed hears it there; the others let go of WAL too. @throws PageserverError `wal-source-failed` */
export async function reportRemoteConsistent(
  safekeeper: SafekeeperAddress,
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
  lsn: Lsn,
): Promise<void> {
  const body = JSON.stringify({ lsn: formatLsn(lsn) });
  try {
    await call(
      safekeeper,
      tokens,
      timeline,
      'POST',
      `/v1/tenant/${tenant}/timeline/${timeline}/remote-consistent`,
      body,
    );
  } catch (cause) {
    throw new PageserverError('wal-source-failed', `safekeeper ${safekeeper.id}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function call(
  { host, httpPort }: SafekeeperAddress,
  tokens: Tokens,
  timeline: TimelineId | undefined,
  method: string,
  path: string,
  body?: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...bearerHeaders(tokens.token(timeline)),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const sent = requestOver(tokens.trust, { host, port: httpPort, path, method, headers, signal }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > BODY_BYTES_MAX) response.destroy(new Error(`an answer of more than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`HTTP status ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
