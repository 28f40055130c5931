// oxlint-disable oxc/no-async-endpoint-handlers -- that rule is about Express; Fastify awaits its handlers
import {
  formatLsn,
  parseLsn,
  parseTenantId,
  parseTimelineId,
  type Lsn,
  type TenantId,
  type TimelineId,
} from '@zenith/base';
import type { FastifyInstance } from 'fastify';
import * as v from 'valibot';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { PageserverError } from '../errors.ts';
import type { Collector } from '../gc/collector.ts';
import { LEASE_MAX_MS } from '../gc/leases.ts';
import type { TimelineStore } from '../timeline/timeline-store.ts';
import { parseBody } from './parse-body.ts';

const lease = v.strictObject({
  /** Who reads; a holder has one lease of a timeline. */
  holder: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  lsn: v.pipe(
    v.string(),
    v.transform((text): Lsn => parseLsn(text)),
  ),
  /** How long. Unit: ms. */
  durationMs: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LEASE_MAX_MS)),
});

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const history = v.strictObject({ timeMs: size, bytes: size });

interface TimelineParams {
  readonly Params: { readonly tenant: string; readonly timeline: string };
}

/** What the history of timelines is served from. */
export interface HistoryServices {
  readonly store: TimelineStore;
  readonly collector: Collector;
  /** The time of day. Unit: ms since 1970. */
  readonly wallClock: () => number;
}

/** Adds the part of the management API that is about history: what was when, what is kept, for whom and for how long. */
export function addHistory(server: FastifyInstance, { store, collector, wallClock }: HistoryServices): void {
  server.get<TimelineParams & { Querystring: { time?: string } }>(
    '/v1/tenant/:tenant/timeline/:timeline/lsn-at',
    async (request) => {
      const timeline = store.get(...named(request.params));
      const time = parseTime(request.query.time);
      const found = await timeline.fetching(() => timeline.lsnAtTime(time));
      return { timeline: found.timeline, lsn: formatLsn(found.lsn), commitTime: found.time };
    },
  );
  server.post<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/lease', async (request) => {
    const { holder, lsn, durationMs } = parseBody(lease, request.body);
    const now = wallClock();
    await store.get(...named(request.params)).lease({ holder, lsn, until: now + durationMs }, now);
    return { holder, lsn: formatLsn(lsn), until: now + durationMs };
  });
  server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/lease', (request) => {
    const leases = store.get(...named(request.params)).leases(wallClock());
    return { leases: leases.map((one) => ({ ...one, lsn: formatLsn(one.lsn) })) };
  });
  server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/sizes', (request) =>
    store.sizes(...named(request.params)),
  );
  server.delete<{ Params: TimelineParams['Params'] & { readonly holder: string } }>(
    '/v1/tenant/:tenant/timeline/:timeline/lease/:holder',
    async (request, reply) => {
      await store.get(...named(request.params)).releaseLease(request.params.holder);
      return reply.status(204).send();
    },
  );
  server.post<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/gc', async (request) => {
    const result = await collector.collect(...named(request.params), true);
    return { ...result, cutoff: formatLsn(result.cutoff) };
  });
  server.put('/v1/history', (request) => {
    collector.policy = parseBody(history, request.body);
    return collector.policy;
  });
}

function named(params: TimelineParams['Params']): [TenantId, TimelineId] {
  return [parseTenantId(params.tenant), parseTimelineId(params.timeline)];
}

/** Unit: microseconds since 1970. */
function parseTime(text: string | undefined): CommitTime {
  const micros = Number(text);
  if (text === undefined || !/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(micros))
    throw new PageserverError('bad-request', 'time: expected microseconds since 1970');
  return micros as CommitTime;
}
