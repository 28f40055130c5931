import { serverFactoryOf, type Gate, type ServerCertificate, type Tokens } from '@zenith/auth';
import { formatLsn, parseTenantId, parseTimelineId } from '@zenith/base';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Archiver } from '../archive/archiver.ts';
import type { WalArchive } from '../archive/wal-archive.ts';
import { SafekeeperError } from '../errors.ts';
import type { DonorAddress } from '../peer/donor.ts';
import type { WalService } from '../session/wal-service.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { addGate } from './gate.ts';
import { addMembershipRoutes } from './membership.ts';

/** Longest request body; the longest real one names all safekeepers. Unit: bytes. */
const BODY_LENGTH_MAX = 16 * 1024;

/** Statuses of failures that are not this safekeeper's. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  'invalid-id': 400,
  'bad-request': 400,
  'timeline-refused': 409,
  'credentials-missing': 401,
  'credentials-invalid': 401,
  'credentials-forbidden': 403,
};

/** What the HTTP interface shows. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly id: number;
  readonly version: string;
  readonly registry: TimelineRegistry;
  readonly walService: WalService;
  readonly metrics: Registry;
  readonly log: Logger;
  /** Left out when there is none. */
  readonly archive: WalArchive | undefined;
  /** Who fills it. */
  readonly archiver: Archiver | undefined;
  /** Undefined: everybody is let in. */
  readonly gate: Gate | undefined;
  /** Undefined: connections are plain. */
  readonly certificate: ServerCertificate | undefined;
  /** What other safekeepers are shown. */
  readonly tokens: Tokens;
  /** Told where the other safekeepers are, when that changes. */
  readonly learnPeers: (peers: readonly DonorAddress[]) => void;
}

/** Begins to serve HTTP: health, metrics, status, timelines, changes of membership. Close it with `close`. @throws SafekeeperError `listen-failed` */
export async function startHttpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { registry, walService, metrics } = options;
  const server = Fastify({
    bodyLimit: BODY_LENGTH_MAX,
    forceCloseConnections: true,
    ...serverFactoryOf(options.certificate),
  });

  if (options.gate !== undefined) addGate(server, options.gate);
  server.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = STATUS_BY_CODE[error.code] ?? (error instanceof SafekeeperError ? 503 : (error.statusCode ?? 500));
    return reply.status(status).send({ code: error.code ?? 'internal', message: error.message });
  });
  server.setNotFoundHandler((request, reply) =>
    reply.status(404).send({ code: 'not-found', message: `there is no ${request.method} ${request.url}` }),
  );

  server.get('/healthz', (_request, reply) => {
    const { broken, waiting } = registry;
    // A damaged timeline is no reason to restart a process that serves all others, and no restart makes room.
    return reply.send({ status: broken.length + waiting.length === 0 ? 'ok' : 'degraded', broken, diskFull: waiting });
  });
  server.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
  server.get('/v1/status', () => ({
    id: options.id,
    version: options.version,
    listen: walService.address,
    timelines: registry.timelines.length,
    proposers: walService.proposerCount,
    consumers: walService.consumers.map(describeLsns),
    unreadable: registry.unreadable.map(({ tenant, timeline, error }) => ({
      tenant,
      timeline,
      message: error.message,
    })),
  }));
  server.get('/v1/timelines', () => registry.timelines.map(describe));
  server.get<{ Params: { tenant: string; timeline: string } }>(
    '/v1/tenant/:tenant/timeline/:timeline',
    (request, reply) => {
      const tenant = parseTenantId(request.params.tenant);
      const id = parseTimelineId(request.params.timeline);
      const timeline = registry.find(tenant, id);
      if (timeline === undefined)
        return reply.status(404).send({
          code: 'timeline-unknown',
          message: `timeline ${id} of tenant ${tenant} is not known to this safekeeper`,
        });
      return reply.send({
        ...describe(timeline),
        consumers: walService.consumers.filter((consumer) => consumer.timeline === id).map(describeLsns),
      });
    },
  );
  addMembershipRoutes(server, registry, options.archive, options.tokens, options.learnPeers, options.log);

  server.delete<{ Params: { tenant: string; timeline: string } }>(
    '/v1/tenant/:tenant/timeline/:timeline',
    async (request, reply) => {
      const tenant = parseTenantId(request.params.tenant);
      const timeline = parseTimelineId(request.params.timeline);
      walService.cutOff(timeline);
      await registry.remove(tenant, timeline);
      await options.archiver?.remove(tenant, timeline);
      return reply.status(204).send();
    },
  );

  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? 'the port is taken: stop what uses it, or choose another port'
        : (error as Error).message;
    throw new SafekeeperError('listen-failed', `cannot listen on ${options.host}:${options.port}: ${reason}`, {
      cause: error,
    });
  }
  return server;
}

/** A timeline in JSON, LSNs as text. */
function describe(timeline: Timeline): Record<string, unknown> {
  const { control, flushLsn, writeLsn } = timeline.state;
  const { identity, configuration, term, history } = control;
  return {
    tenant: identity.tenant,
    timeline: identity.timeline,
    pgMajor: identity.pgMajor,
    systemId: identity.systemId,
    segmentSize: identity.segmentSize,
    configuration,
    term,
    history: history.map(describeLsns),
    timelineStartLsn: formatLsn(identity.timelineStartLsn),
    localStartLsn: formatLsn(control.localStartLsn),
    writeLsn: formatLsn(writeLsn),
    flushLsn: formatLsn(flushLsn),
    commitLsn: formatLsn(control.commitLsn),
    peerHorizonLsn: formatLsn(control.peerHorizonLsn),
    backupLsn: formatLsn(control.backupLsn),
    remoteConsistentLsn: formatLsn(control.remoteConsistentLsn),
    broken: timeline.broken?.message ?? null,
  };
}

/** `value` with every field whose name ends in Lsn as text. */
function describeLsns(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, key.endsWith('Lsn') ? formatLsn(field) : field]),
  );
}
