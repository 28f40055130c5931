import { checkName } from '../branches/branch-name.ts';
import { ControlPlaneError } from '../errors.ts';
import type { EndpointRecord } from '../metadata/records.ts';
import { findFreePort, PORT_MAX } from '../process/ports.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';
import { endpointStatus, type EndpointStatus } from './endpoint-process.ts';
import { checkEndpointSettings } from './settings.ts';

/** What an endpoint is to be. */
export interface NewEndpoint {
  readonly branch: string;
  /** The branch's name by default. */
  readonly name?: string | undefined;
  /** The next free one by default. */
  readonly port?: number | undefined;
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** Supervisors' HTTP ports are looked for this far above the computes' own. */
const HTTP_PORT_OFFSET = 1000;

/** Longest wait for another command that creates an endpoint. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 30_000;

/** The ports that belong to somebody in this repository, and to whom. */
export async function reservedPorts(
  repository: Repository,
  endpoints: readonly EndpointRecord[],
): Promise<Map<number, string>> {
  const { pageserver } = repository.config;
  const { nodes: safekeepers } = await safekeepersOf(repository);
  const reserved = new Map<number, string>();
  for (const port of [pageserver.port, pageserver.httpPort]) reserved.set(port, 'the pageserver');
  for (const node of safekeepers)
    for (const port of [node.port, node.httpPort]) reserved.set(port, `safekeeper ${node.id}`);
  for (const endpoint of endpoints)
    for (const port of [endpoint.port, endpoint.httpPort]) reserved.set(port, `endpoint '${endpoint.name}'`);
  return reserved;
}

/** @throws ControlPlaneError `port-taken` when the port belongs to somebody else in this repository */
export async function checkPortUnreserved(repository: Repository, port: number, owner: string): Promise<void> {
  const others = (await repository.catalog.endpoints()).filter((endpoint) => endpoint.name !== owner);
  const holder = (await reservedPorts(repository, others)).get(port);
  if (holder !== undefined)
    throw new ControlPlaneError('port-taken', `port ${port} belongs to ${holder} in this repository: choose another`);
}

/**
 * Creates an endpoint: a PostgreSQL server that can be started on a branch. Starts nothing.
 * @throws ControlPlaneError `invalid-name`, `no-such-branch`, `endpoint-exists`, `invalid-setting`, `port-taken`, `no-free-port`
 */
export async function createEndpoint(
  repository: Repository,
  { branch, name = branch, port, settings = {} }: NewEndpoint,
): Promise<EndpointRecord> {
  checkName('endpoint', name);
  await checkEndpointSettings(settings);
  const { catalog, config, layout } = repository;
  return withProcessLock(
    layout.locks,
    'endpoints',
    { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is creating an endpoint' },
    async () => {
      await catalog.branch(branch);
      if ((await catalog.endpoint(name)) !== undefined)
        throw new ControlPlaneError('endpoint-exists', `an endpoint '${name}' exists already`);
      if (port !== undefined) await checkPortUnreserved(repository, port, name);
      const reserved = new Set((await reservedPorts(repository, await catalog.endpoints())).keys());
      const own = port ?? (await findFreePort(config.host, config.computePortFirst, reserved));
      const httpFirst = Math.min(config.computePortFirst + HTTP_PORT_OFFSET, PORT_MAX - HTTP_PORT_OFFSET);
      const httpPort = await findFreePort(config.host, httpFirst, new Set([...reserved, own]));
      const endpoint: EndpointRecord = {
        name,
        branch,
        port: own,
        httpPort,
        settings,
        createdAt: new Date().toISOString(),
      };
      await catalog.addEndpoint(endpoint);
      return endpoint;
    },
  );
}

/** An endpoint and how it is. */
export interface ListedEndpoint extends EndpointRecord {
  readonly status: EndpointStatus;
}

/** All endpoints with their states, by name. */
export async function listEndpoints(repository: Repository): Promise<ListedEndpoint[]> {
  const endpoints = await repository.catalog.endpoints();
  return Promise.all(
    endpoints.map(async (endpoint) => ({ ...endpoint, status: await endpointStatus(repository, endpoint) })),
  );
}
