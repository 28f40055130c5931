import type { Tokens } from '@zenith/auth';
import { formatLsn, isId, parseLsn, parseTenantId, parseTimelineId, type Lsn, type SystemId } from '@zenith/base';
import { isConfiguration, nodeId, type ConfiguredReport } from '@zenith/consensus';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import * as v from 'valibot';
import { restoreTimeline } from '../archive/restore-timeline.ts';
import type { WalArchive } from '../archive/wal-archive.ts';
import { encodeControlFile } from '../control-file/codec.ts';
import { SafekeeperError } from '../errors.ts';
import type { DonorAddress } from '../peer/donor.ts';
import { pullTimeline } from '../peer/pull-timeline.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const lsnText = v.pipe(
  v.string(),
  v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
  v.transform((text): Lsn => parseLsn(text)),
);
const member = v.pipe(
  count,
  v.minValue(1),
  v.transform((value) => nodeId(value)),
);

const described = {
  pgMajor: count,
  systemId: v.pipe(
    v.string(),
    v.regex(/^\d{1,20}$/),
    v.transform((text) => text as SystemId),
  ),
  segmentSize: count,
  timelineStartLsn: lsnText,
  configuration: v.pipe(
    v.strictObject({ generation: count, members: v.array(member), newMembers: v.nullable(v.array(member)) }),
    v.check((value) => isConfiguration(value), 'no configuration: it is empty, or names a member twice'),
  ),
};
const configureRequest = v.strictObject({ ...described, term: count });
const remoteConsistentRequest = v.strictObject({ lsn: lsnText });
const restoreRequest = v.strictObject({ ...described, atLeastLsn: lsnText });

/** A request's body is bounded; whoever has more to say says it in parts. */
const REMOVED_MAX = 256;
const removedRequest = v.strictObject({
  timelines: v.pipe(v.array(v.pipe(v.string(), v.check(isId), v.transform(parseTimelineId))), v.maxLength(REMOVED_MAX)),
});

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const safekeepers = v.pipe(
  v.array(v.strictObject({ id: count, host: v.pipe(v.string(), v.nonEmpty()), port, httpPort: port })),
  v.maxLength(64),
);
const pullRequest = v.strictObject({ donors: v.pipe(safekeepers, v.minLength(1)) });
const peersRequest = v.strictObject({ peers: safekeepers });

interface TimelineParams {
  readonly Params: { readonly tenant: string; readonly timeline: string };
}

/**
 * What whoever changes the members asks of a safekeeper: `POST …/pull` copies a timeline from another safekeeper, `POST …/configuration` installs a configuration and says where the safekeeper is then, `GET …/control` is
 * what a copy of the timeline begins with, `GET …/commit-points` what all of a tenant's have that are committed, `POST /v1/peers` says where the other safekeepers are, `GET` and `POST …/removed` carry over which timelines nobody makes again, `POST …/restore` makes a timeline that all have lost out of the archive; and `POST …/remote-consistent`, by which a pageserver tells
 * those whose WAL it does not follow what it has in remote storage.
 */
export function addMembershipRoutes(
  server: FastifyInstance,
  registry: TimelineRegistry,
  archive: WalArchive | undefined,
  tokens: Tokens,
  learnPeers: (peers: readonly DonorAddress[]) => void,
  log: Logger,
): void {
  const path = '/v1/tenant/:tenant/timeline/:timeline';
  server.get<TimelineParams>(`${path}/control`, (request, reply) => {
    const timeline = registry.find(parseTenantId(request.params.tenant), parseTimelineId(request.params.timeline));
    return timeline === undefined
      ? reply.status(404).send({ code: 'timeline-unknown', message: 'this timeline is not known to this safekeeper' })
      : reply.type('application/octet-stream').send(Buffer.from(encodeControlFile(timeline.state.control)));
  });
  server.get<{ Params: { tenant: string } }>('/v1/tenant/:tenant/commit-points', (request) => {
    const tenant = parseTenantId(request.params.tenant);
    return registry.timelines
      .filter(({ identity }) => identity.tenant === tenant)
      .map(({ identity, commitLsn }) => ({ timeline: identity.timeline, commitLsn: formatLsn(commitLsn) }));
  });
  server.post('/v1/peers', (request, reply) => {
    const { peers } = parseBody(peersRequest, request.body);
    learnPeers(peers);
    return reply.status(204).send();
  });
  // Who joins later, or has lost its disk, has not been told of what was removed for good before.
  server.get<{ Params: { tenant: string } }>('/v1/tenant/:tenant/removed', (request) => {
    const tenant = parseTenantId(request.params.tenant);
    return registry.removed.filter((one) => one.tenant === tenant).map(({ timeline }) => timeline);
  });
  server.post<{ Params: { tenant: string } }>('/v1/tenant/:tenant/removed', async (request, reply) => {
    const { timelines } = parseBody(removedRequest, request.body);
    const tenant = parseTenantId(request.params.tenant);
    for (const timeline of timelines) await registry.remove(tenant, timeline);
    return reply.status(204).send();
  });
  server.post<TimelineParams>(`${path}/configuration`, async (request) => {
    const { configuration, term, ...identity } = parseBody(configureRequest, request.body);
    const tenant = parseTenantId(request.params.tenant);
    const timeline = parseTimelineId(request.params.timeline);
    const found = await registry.findOrCreate({ tenant, timeline, ...identity }, configuration);
    return describeReport(await found.configure(configuration, term));
  });
  server.post<TimelineParams>(`${path}/remote-consistent`, (request, reply) => {
    const { lsn } = parseBody(remoteConsistentRequest, request.body);
    const timeline = registry.find(parseTenantId(request.params.tenant), parseTimelineId(request.params.timeline));
    timeline?.progress({ remoteConsistentLsn: lsn });
    return reply.status(timeline === undefined ? 404 : 200).send({});
  });
  server.post<TimelineParams>(`${path}/pull`, async (request) => {
    const { donors } = parseBody(pullRequest, request.body);
    const tenant = parseTenantId(request.params.tenant);
    const timeline = parseTimelineId(request.params.timeline);
    return describePulled(await pullTimeline(registry, donors, tokens, tenant, timeline, log));
  });
  server.post<TimelineParams>(`${path}/restore`, async (request) => {
    const { configuration, atLeastLsn, ...description } = parseBody(restoreRequest, request.body);
    const tenant = parseTenantId(request.params.tenant);
    const timeline = parseTimelineId(request.params.timeline);
    if (archive === undefined)
      throw new SafekeeperError('bad-request', 'this safekeeper has no archive (remoteStorage)');
    const identity = { tenant, timeline, ...description };
    const { endLsn, restored } = await restoreTimeline(registry, archive, identity, configuration, atLeastLsn);
    log.warn(
      { tenant, timeline, endLsn: endLsn === null ? null : formatLsn(endLsn), restored },
      'restored from the archive',
    );
    return { endLsn: endLsn === null ? null : formatLsn(endLsn), restored };
  });
}

function describeReport({ node, configuration, term, position }: ConfiguredReport): Record<string, unknown> {
  const { lastTerm, flushLsn } = position;
  return { node, configuration, term, lastTerm, flushLsn: formatLsn(flushLsn) };
}

function describePulled(timeline: Timeline | undefined): Record<string, unknown> {
  return { commitLsn: timeline === undefined ? null : formatLsn(timeline.commitLsn) };
}

function parseBody<Schema extends v.GenericSchema>(schema: Schema, body: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new SafekeeperError('bad-request', `${v.getDotPath(issue) ?? 'body'}: ${issue.message}`);
}
