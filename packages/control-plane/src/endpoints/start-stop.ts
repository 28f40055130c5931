import { renewWhenDue } from '../credentials/certificates.ts';
import { authOptions, computeHolder, issueComputeTokens } from '../credentials/holders.ts';
import { tlsOptions } from '../credentials/tls-options.ts';
import { ControlPlaneError } from '../errors.ts';
import type { EndpointRecord, TimelineRecord } from '../metadata/records.ts';
import { serviceEntryPoint } from '../nodes/entry-points.ts';
import { writeServiceConfig } from '../nodes/service-config.ts';
import { requireNodes } from '../nodes/start-stop.ts';
import { launchService } from '../process/launch.ts';
import { requireFreePort } from '../process/ports.ts';
import { signalProcess, terminate, waitForExit, type Termination } from '../process/terminate.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';
import { ancestorsOf, computeConfig } from './compute-config.ts';
import { removeComputeFiles } from './compute-files.ts';
import { withComputeLock } from './compute-lock.ts';
import { endpointProcess, endpointsOf, endpointStatus, supervisorClient } from './endpoint-process.ts';
import { checkPortUnreserved, createEndpoint } from './endpoints.ts';
import { checkEndpointSettings } from './settings.ts';

/** Waiting for ingest up to the start LSN is the long part. Unit: milliseconds. */
const READY_TIMEOUT_MS = 180_000;

/** A clean stop waits for the shutdown checkpoint, and for the quorum to have it. Unit: milliseconds. */
const STOP_FAST_MAX_MS = 60_000;

/** Unit: milliseconds. */
const STOP_IMMEDIATE_MAX_MS = 15_000;

/** How an endpoint is started. */
export interface StartEndpointOptions {
  /** Moves the endpoint to this port, from now on. */
  readonly port?: number | undefined;
  /** Added to the endpoint's stored settings, from now on. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Called once everything was checked and PostgreSQL is about to be started. */
  readonly onStarting?: (endpoint: EndpointRecord) => void;
  readonly signal?: AbortSignal | undefined;
}

/** An endpoint that runs. */
export interface StartedEndpoint {
  readonly endpoint: EndpointRecord;
  /** False when it ran already. */
  readonly started: boolean;
}

/** The endpoint of this name; made for the branch of this name when there is no such endpoint but such a branch. */
async function endpointOrNew(
  repository: Repository,
  name: string,
  options: StartEndpointOptions,
): Promise<{ endpoint: EndpointRecord; created: boolean }> {
  const existing = await repository.catalog.endpoint(name);
  if (existing !== undefined) return { endpoint: existing, created: false };
  if (!(await repository.catalog.hasBranch(name))) {
    throw new ControlPlaneError(
      'no-such-endpoint',
      `no endpoint and no branch '${name}'; 'zenith branch' and 'zenith pg list' show what there is`,
    );
  }
  return {
    endpoint: await createEndpoint(repository, { branch: name, port: options.port, settings: options.settings }),
    created: true,
  };
}

/** Stores what the options change about an endpoint. */
async function applyOptions(
  repository: Repository,
  endpoint: EndpointRecord,
  { port, settings = {} }: StartEndpointOptions,
): Promise<EndpointRecord> {
  if (port === undefined && Object.keys(settings).length === 0) return endpoint;
  await checkEndpointSettings(settings);
  if (port !== undefined) await checkPortUnreserved(repository, port, endpoint.name);
  return repository.catalog.updateEndpoint(endpoint.name, (old) => ({
    port: port ?? old.port,
    settings: { ...old.settings, ...settings },
  }));
}

/** @throws ControlPlaneError `branch-in-use` when another endpoint's compute lives on the timeline */
async function requireBranchFree(
  repository: Repository,
  endpoint: EndpointRecord,
  timeline: TimelineRecord,
): Promise<void> {
  const others = (await endpointsOf(repository, timeline.id)).filter(({ name }) => name !== endpoint.name);
  const running = others.find(({ name }) => endpointProcess(repository, name) !== undefined);
  if (running === undefined) return;
  throw new ControlPlaneError(
    'branch-in-use',
    `endpoint '${running.name}' is running on branch '${endpoint.branch}' already, and a branch has one compute at a time: stop it with 'zenith pg stop ${running.name}', or make a branch of its own`,
  );
}

async function launchCompute(
  repository: Repository,
  endpoint: EndpointRecord,
  timeline: TimelineRecord,
  options: StartEndpointOptions,
): Promise<void> {
  const { config, layout } = repository;
  await requireFreePort(
    config.host,
    endpoint.port,
    `endpoint '${endpoint.name}'`,
    `stop that program, or choose another with 'zenith pg start ${endpoint.name} --port PORT'`,
  );
  await requireFreePort(
    config.host,
    endpoint.httpPort,
    `the supervisor of endpoint '${endpoint.name}'`,
    `stop that program, or make the endpoint anew with 'zenith pg stop ${endpoint.name} --destroy'`,
  );
  const files = layout.compute(endpoint.name);
  const main = serviceEntryPoint('compute');
  // Nothing of an earlier run is of use: the directory is built anew from the pageserver at each start.
  const ancestors = await ancestorsOf(repository, timeline);
  const safekeepers = await safekeepersOf(repository); // read under the compute's lock: whoever changes the members takes it
  await issueComputeTokens(repository, endpoint.name, timeline, ancestors);
  const auth = authOptions(repository, computeHolder(endpoint.name));
  await renewWhenDue(repository);
  const tls = tlsOptions(repository);
  writeServiceConfig(files, { ...computeConfig(repository, endpoint, timeline, ancestors, safekeepers), auth, tls });
  options.onStarting?.(endpoint);
  await launchService({
    what: `the compute of '${endpoint.name}'`,
    main,
    dataDir: files.dataDir,
    logFile: files.logFile,
    readyTimeoutMs: READY_TIMEOUT_MS,
    signal: options.signal,
  });
}

/**
 * Starts PostgreSQL on an endpoint; returns once it takes connections. An endpoint that runs is left alone. With the name of a branch that has no endpoint of its name, one is created.
 * @throws ControlPlaneError `no-such-endpoint`, `branch-in-use`, `endpoint-running` (runs, but the options ask for a change), `port-taken`, `not-running` (nodes), `invalid-setting`,
 *   `service-failed`, …; nothing runs then, and an endpoint that was made for this is gone again
 */
export async function startEndpoint(
  repository: Repository,
  name: string,
  options: StartEndpointOptions = {},
): Promise<StartedEndpoint> {
  await requireNodes(repository);
  const { endpoint: found, created } = await endpointOrNew(repository, name, options);
  const timeline = await repository.catalog.timeline((await repository.catalog.branch(found.branch)).timeline);
  const start = async (): Promise<StartedEndpoint> => {
    if ((await repository.catalog.branch(found.branch)).timeline !== timeline.id)
      throw new ControlPlaneError('conflict', `branch '${found.branch}' was changed by another command; try again`);
    const status = await endpointStatus(repository, found);
    if (status.process !== undefined) {
      if (options.port !== undefined || options.settings !== undefined)
        throw new ControlPlaneError(
          'endpoint-running',
          `endpoint '${name}' is running: stop it first to change its port or settings`,
        );
      if (status.state === 'running') return { endpoint: found, started: false };
      throw new ControlPlaneError(
        'endpoint-running',
        `endpoint '${name}' has a compute that is ${status.state}${status.message === undefined ? '' : ` (${status.message})`}: stop it first with 'zenith pg stop ${name}'`,
      );
    }
    await requireBranchFree(repository, found, timeline);
    const endpoint = created ? found : await applyOptions(repository, found, options);
    await launchCompute(repository, endpoint, timeline, options);
    return { endpoint, started: true };
  };
  try {
    return await withComputeLock(repository, timeline.id, start, options.signal);
  } catch (error) {
    if (created) await forget(repository, name);
    throw error;
  }
}

/** How an endpoint is stopped. */
export interface StopEndpointOptions {
  /** Stop without a checkpoint. Nothing acknowledged is lost. */
  readonly immediate?: boolean | undefined;
  /** Remove the endpoint, its settings and its files as well. The branch and its data stay. */
  readonly destroy?: boolean | undefined;
  /** Called when there is a compute to stop. */
  readonly onStopping?: (endpoint: EndpointRecord) => void;
}

/** How a stop went: `not-running` when there was nothing to stop. */
export type StopOutcome = Termination | 'not-running';

/**
 * Stops an endpoint's PostgreSQL; returns when it is gone.
 * @throws ControlPlaneError `no-such-endpoint`, `busy`, `service-timeout`
 */
export async function stopEndpoint(
  repository: Repository,
  name: string,
  options: StopEndpointOptions = {},
): Promise<StopOutcome> {
  const { catalog } = repository;
  const endpoint = await catalog.endpoint(name);
  if (endpoint === undefined)
    throw new ControlPlaneError('no-such-endpoint', `no endpoint '${name}'; 'zenith pg list' shows those there are`);
  const { timeline } = await catalog.branch(endpoint.branch);
  return withComputeLock(repository, timeline, async () => {
    const outcome = await stopCompute(repository, endpoint, options);
    if (options.destroy === true) await forget(repository, name);
    return outcome;
  });
}

async function stopCompute(
  repository: Repository,
  endpoint: EndpointRecord,
  options: StopEndpointOptions,
): Promise<StopOutcome> {
  const running = endpointProcess(repository, endpoint.name);
  if (running === undefined) return 'not-running';
  options.onStopping?.(endpoint);
  if (options.immediate !== true) {
    signalProcess(running, 'SIGTERM');
    if (await waitForExit(running, STOP_FAST_MAX_MS)) return 'clean';
  }
  // Also when a clean stop hangs, for want of a quorum that would take the shutdown checkpoint.
  try {
    await supervisorClient(repository, endpoint).stop('immediate');
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    // It does not answer: ended below all the same.
  }
  if (await waitForExit(running, STOP_IMMEDIATE_MAX_MS)) return 'killed';
  return terminate(running, 0);
}

/** Removes an endpoint that does not run. */
async function forget(repository: Repository, name: string): Promise<void> {
  await removeComputeFiles(repository, name);
  await repository.catalog.removeEndpoint(name);
}
