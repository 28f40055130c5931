import { request } from 'node:http';
import { parseLsn, parseTenantId, parseTimelineId, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
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
}

const schema = v.array(v.object({ tenant: v.string(), timeline: v.string(), commitLsn: v.string() }));

/** Asks a safekeeper which timelines it has. @throws PageserverError `wal-source-failed` when it does not answer, or not as it should */
export async function listSafekeeperTimelines(safekeeper: SafekeeperAddress): Promise<SafekeeperTimeline[]> {
  const where = `safekeeper ${safekeeper.id} at ${safekeeper.host}:${safekeeper.httpPort}`;
  try {
    const timelines = v.parse(schema, JSON.parse(await get(safekeeper.host, safekeeper.httpPort, '/v1/timelines')));
    return timelines.map((entry) => ({
      tenant: parseTenantId(entry.tenant),
      timeline: parseTimelineId(entry.timeline),
      commitLsn: parseLsn(entry.commitLsn),
    }));
  } catch (cause) {
    throw new PageserverError('wal-source-failed', `${where}: ${(cause as Error).message}`, { cause });
  }
}

function get(host: string, port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
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
    call.on('error', reject);
    call.end();
  });
}
