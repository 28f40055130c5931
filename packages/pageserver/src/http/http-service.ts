// oxlint-disable oxc/no-async-endpoint-handlers -- that rule is about Express; Fastify awaits its handlers
import { setImmediate } from 'node:timers';
import {
  AssertionError,
  CorruptionError,
  ZenithError,
  formatLsn,
  parseLsn,
  parseTenantId,
  parseTimelineId,
  type Lsn,
} from '@zenith/base';
import { serverFactoryOf, type Gate, type ServerCertificate } from '@zenith/auth';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Registry } from 'prom-client';
import * as v from 'valibot';
import { PageserverError } from '../errors.ts';
import type { Collector } from '../gc/collector.ts';
import type { WalSources } from '../ingest/wal-sources.ts';
import { SafekeepersSchema } from '../options.ts';
import type { RemoteTimelines } from '../remote/remote-timelines.ts';
import { buildSnapshot } from '../snapshot/build-snapshot.ts';
import { streamSnapshot } from '../snapshot/stream-snapshot.ts';
import type { TimelineStore } from '../timeline/timeline-store.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { describeTimeline } from './describe-timeline.ts';
import { addGate } from './gate.ts';
import { httpMetrics, type HttpMetrics } from './metrics.ts';
import { addPageRoutes } from './page-routes.ts';
import { addHistory } from './history-routes.ts';
import { parseBody } from './parse-body.ts';

/** Longest body of a request; the longest real one has three ids. Unit: bytes. */
const BODY_BYTES_MAX = 16 * 1024;

/** Longest wait that a request may ask for. Unit: ms. */
const WAIT_MAX_MS = 600_000;

/** Statuses of the codes that are not the server's fault. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  'invalid-id': 400,
  'invalid-lsn': 400,
  'bad-request': 400,
  'lsn-outside-history': 400,
  'credentials-missing': 401,
  'credentials-invalid': 401,
  'credentials-forbidden': 403,
  'time-before-history': 400,
  'time-after-last-commit': 400,
  'no-such-timeline': 404,
  'no-such-block': 404,
  'timeline-exists': 409,
  'timeline-has-branches': 409,
  superseded: 409,
  'not-imported': 409,
  'lsn-not-available': 503,
  'history-needed': 503,
  'too-many-leases': 503,
  'too-many-waiters': 503,
  closing: 503,
};

const lsn = v.pipe(
  v.string(),
  v.transform((text): Lsn => parseLsn(text)),
);
const newTimeline = v.strictObject({ timelineId: v.string(), ancestorTimelineId: v.string(), ancestorLsn: lsn });
const wait = v.strictObject({
  lsn,
  timeoutMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(WAIT_MAX_MS)), 60_000),
});

const safekeepers = v.strictObject({ safekeepers: SafekeepersSchema });

/** What the HTTP API works on. */
export interface HttpServiceOptions {
  readonly store: TimelineStore;
  readonly sources: WalSources;
  /** Undefined: there is no remote storage. */
  readonly remote: RemoteTimelines | undefined;
  readonly collector: Collector;
  /** Undefined: everybody is let in. */
  readonly gate: Gate | undefined;
  /** Undefined: connections are plain. */
  readonly certificate: ServerCertificate | undefined;
  readonly metrics: Registry;
  readonly version: string;
  /** How long a snapshot waits for WAL that has not been ingested yet. Unit: ms. */
  readonly waitTimeoutMs: number;
  /** A monotonic clock. Unit: ms. */
  readonly now: () => number;
  /** The time of day. Unit: ms since 1970. */
  readonly wallClock: () => number;
}

interface TimelineParams {
  readonly Params: { readonly tenant: string; readonly timeline: string };
}

/** The management API of a pageserver, see docs/architecture.md. */
export class HttpService {
  readonly #options: HttpServiceOptions;
  readonly #server: FastifyInstance;
  readonly #startedAt: number;

  constructor(options: HttpServiceOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#server = Fastify({
      bodyLimit: BODY_BYTES_MAX,
      forceCloseConnections: true,
      ...serverFactoryOf(options.certificate),
    });
    if (options.gate !== undefined) addGate(this.#server, options.gate);
    this.#server.setErrorHandler((error: Error, _request, reply) => sendError(error, reply));
    this.#server.setNotFoundHandler((request, reply) =>
      reply.status(404).send({ code: 'not-found', message: `there is no ${request.method} ${request.url}` }),
    );
    this.#addService();
    this.#addSources();
    this.#addTimelines(httpMetrics(options.metrics));
    addPageRoutes(this.#server, {
      timeline: (params) => this.#timeline(params),
      waitTimeoutMs: options.waitTimeoutMs,
    });
    addHistory(this.#server, options);
  }

  /** Begins to listen; gives the port. @throws PageserverError `address-unavailable` */
  async listen(host: string, port: number): Promise<number> {
    try {
      await this.#server.listen({ host, port });
    } catch (cause) {
      const why =
        (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
          ? 'is in use by another process: stop that one, or choose another port'
          : `cannot be listened on: ${(cause as Error).message}`;
      throw new PageserverError('address-unavailable', `the HTTP address ${host}:${port} ${why}`, { cause });
    }
    return (this.#server.server.address() as { port: number }).port;
  }

  /** Stops listening; resolves when no connection is left. */
  async close(): Promise<void> {
    await this.#server.close();
  }

  #addService(): void {
    const { store, metrics, version, now } = this.#options;
    const server = this.#server;
    server.get('/healthz', () => {
      const broken = [...store.broken.keys()];
      const flushFailing = store
        .list()
        .filter((timeline) => timeline.isFlushFailing)
        .map(({ tenant, timeline }) => `${tenant}/${timeline}`);
      // One broken timeline is no reason to restart the others, nor is a full disk.
      return { status: broken.length + flushFailing.length === 0 ? 'ok' : 'degraded', broken, flushFailing };
    });
    server.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
    server.get('/v1/status', () => ({
      version,
      uptimeSeconds: Math.round((now() - this.#startedAt) / 1000),
      timelines: store.list().length,
      broken: [...store.broken].map(([name, error]) => ({ name, message: error.message })),
      memoryBytes: store.memoryBytes,
      residentBytes: process.memoryUsage.rss(),
    }));
  }

  #addSources(): void {
    const { sources } = this.#options;
    this.#server.post('/v1/safekeepers', async (request) => {
      await sources.replaceSafekeepers(parseBody(safekeepers, request.body).safekeepers);
      return {};
    });
  }

  #addTimelines({ branchSeconds }: HttpMetrics): void {
    const { store, sources, waitTimeoutMs, now } = this.#options;
    const server = this.#server;
    server.get<{ Params: { tenant: string } }>('/v1/tenant/:tenant/timeline', (request) => {
      const tenant = parseTenantId(request.params.tenant);
      return store
        .list()
        .filter((timeline) => timeline.tenant === tenant)
        .map((timeline) => this.#describe(timeline));
    });
    server.post<{ Params: { tenant: string } }>('/v1/tenant/:tenant/timeline', async (request) => {
      const { timelineId, ancestorTimelineId, ancestorLsn } = parseBody(newTimeline, request.body);
      const tenant = parseTenantId(request.params.tenant);
      const [id, ancestor] = [parseTimelineId(timelineId), parseTimelineId(ancestorTimelineId)];
      const begun = now();
      const branch = await store.createBranch(tenant, id, ancestor, ancestorLsn);
      branchSeconds.observe((now() - begun) / 1000);
      return this.#describe(branch);
    });
    server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline', (request) =>
      this.#describe(this.#timeline(request.params)),
    );
    server.get<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/layers', (request) => {
      const timeline = this.#timeline(request.params);
      return { ...this.#describe(timeline), ...timeline.layers };
    });
    server.delete<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline', async (request, reply) => {
      const tenant = parseTenantId(request.params.tenant);
      const timeline = parseTimelineId(request.params.timeline);
      await store.remove(tenant, timeline, (found) => sources.forget(found));
      return reply.status(204).send();
    });
    server.post<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/wal-source', async (request) => {
      const timeline = this.#timeline(request.params);
      await sources.look();
      return this.#describe(timeline);
    });
    server.post<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/wait', async (request) => {
      const timeline = this.#timeline(request.params);
      const { lsn: until, timeoutMs } = parseBody(wait, request.body);
      await timeline.waitForLsn(until, { timeoutMs });
      const lastBranchLsn = store.lastBranchLsn(timeline);
      return {
        ...this.#describe(timeline),
        lastBranchLsn: lastBranchLsn === undefined ? null : formatLsn(lastBranchLsn),
      };
    });
    server.post<TimelineParams>('/v1/tenant/:tenant/timeline/:timeline/checkpoint', async (request) => {
      const timeline = this.#timeline(request.params);
      await timeline.flush();
      await timeline.compact();
      return this.#describe(timeline);
    });
    server.get<TimelineParams & { Querystring: { lsn?: string } }>(
      '/v1/tenant/:tenant/timeline/:timeline/snapshot',
      async (request, reply) => {
        const timeline = this.#timeline(request.params);
        const at = request.query.lsn === undefined ? timeline.lastRecordLsn : parseLsn(request.query.lsn);
        await timeline.waitForLsn(at, { timeoutMs: waitTimeoutMs });
        const { stream, length } = streamSnapshot(await timeline.fetching(() => buildSnapshot(timeline, at)));
        return reply.type('application/octet-stream').header('content-length', length).send(stream);
      },
    );
  }

  #timeline(params: { readonly tenant: string; readonly timeline: string }): Timeline {
    return this.#options.store.get(parseTenantId(params.tenant), parseTimelineId(params.timeline));
  }

  #describe(timeline: Timeline): Record<string, unknown> {
    const { sources, remote } = this.#options;
    return describeTimeline(timeline, sources.follower(timeline), remote?.status(timeline.tenant, timeline.timeline));
  }
}

/** Answers with what a failure is: its code and message, and the status of the code. */
export function sendError(error: Error, reply: FastifyReply): FastifyReply {
  // A broken invariant must not be answered and forgotten: the process ends.
  if (error instanceof AssertionError) {
    setImmediate(() => {
      throw error;
    });
  }
  const ofFastify = (error as { statusCode?: number }).statusCode;
  if (error instanceof ZenithError)
    return reply.status(STATUS_BY_CODE[error.code] ?? 500).send({ code: error.code, message: error.message });
  if (error instanceof CorruptionError) return reply.status(500).send({ code: 'corrupt', message: error.message });
  return reply
    .status(ofFastify ?? 500)
    .send({ code: ofFastify === undefined ? 'internal' : 'bad-request', message: error.message });
}
