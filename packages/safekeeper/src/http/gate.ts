import { bearerToken, type Action, type Gate } from '@zenith/auth';
import type { FastifyInstance } from 'fastify';

const TIMELINE = '/v1/tenant/:tenant/timeline/:timeline';

/** What routes ask of a token; `manage` where nothing is said, so that a new route is closed until somebody opens it. */
const ACTIONS: Readonly<Record<string, Action>> = {
  'GET /healthz': 'observe',
  'GET /metrics': 'observe',
  'GET /v1/status': 'observe',
  'GET /v1/timelines': 'follow-wal',
  [`POST ${TIMELINE}/remote-consistent`]: 'follow-wal',
  [`GET ${TIMELINE}/control`]: 'copy-timeline',
  'GET /v1/tenant/:tenant/commit-points': 'copy-timeline',
};

/** Has every request show a token, before its body is read; requests for what there is not, too. */
export function addGate(server: FastifyInstance, gate: Gate): void {
  server.addHook('onRequest', async (request) => {
    const action = ACTIONS[`${request.method} ${request.routeOptions.url ?? ''}`] ?? 'manage';
    const { tenant, timeline } = request.params as { readonly tenant?: string; readonly timeline?: string };
    await gate.admit(bearerToken(request.headers.authorization), action, { tenant, timeline });
  });
}
