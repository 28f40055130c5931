import { setTimeout as sleep } from 'node:timers/promises';
import { hasQuorum, quorumSize } from '@zenith/consensus';
import { ProcessFlag } from '@zenith/service';
import { renewWhenDue } from '../credentials/certificates.ts';
import { authOptions, issueNodeTokens } from '../credentials/holders.ts';
import { tlsOptions } from '../credentials/tls-options.ts';
import { ControlPlaneError, oneLine, throwIfInterrupted } from '../errors.ts';
import { launchService } from '../process/launch.ts';
import { requireFreePort } from '../process/ports.ts';
import { withProcessLock } from '../process/process-lock.ts';
import { LAUNCH_FLAG } from '../process/service-process.ts';
import { signalProcess, terminate, waitForExit, type Termination } from '../process/terminate.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf, votersOf } from '../safekeepers/safekeepers.ts';
import { serviceEntryPoint } from './entry-points.ts';
import { nodeProcess, pageserverNode, safekeeperNode, storageNodes, type StorageNode } from './node.ts';
import { safekeeperAddresses, writeServiceConfig } from './service-config.ts';

/** A pageserver reads its timelines' indexes, a safekeeper scans the WAL after its last commit. Unit: milliseconds. */
const READY_TIMEOUT_MS = 120_000;

/** A pageserver flushes what it holds in memory. Unit: milliseconds. */
const STOP_GRACE_MS = 60_000;

/** Longest wait for another command that starts or stops nodes. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = READY_TIMEOUT_MS + STOP_GRACE_MS;

/** How long a node that is starting gets to answer, and the pause before it is asked again. Unit: milliseconds. */
const HEALTH_TIMEOUT_MS = 3_000;
const HEALTH_PAUSE_MS = 50;

/** What is happening to a node, told as it happens. */
export type NodeEvent =
  | {
      readonly kind: 'starting' | 'started' | 'already-running' | 'stopping' | 'not-running';
      readonly node: StorageNode;
    }
  | { readonly kind: 'stopped'; readonly node: StorageNode; readonly termination: Termination };

/** How nodes are started and stopped. */
export interface NodeOptions {
  readonly onEvent?: (event: NodeEvent) => void;
  /** Interrupts a start: what has begun to start is ended, what runs stays. */
  readonly signal?: AbortSignal | undefined;
}

/** Checks that a node can be started and writes its configuration. */
async function prepareNode(repository: Repository, node: StorageNode): Promise<void> {
  const remedy = `stop that program, or change the port in ${repository.layout.configFile}`;
  await requireFreePort(node.host, node.port, node.what, remedy);
  await requireFreePort(node.host, node.httpPort, `${node.what} for HTTP`, remedy);
  const location = repository.config.remoteStorage ?? repository.layout.remoteStorage;
  const safekeepers = safekeeperAddresses(repository.config, await safekeepersOf(repository));
  const ofThisStart =
    node.service === 'pageserver'
      ? {
          safekeepers,
          remoteStorage: { location, generation: await repository.catalog.nextPageserverGeneration() },
          history: await repository.catalog.history(),
        }
      : { peers: safekeepers, remoteStorage: { location } };
  await issueNodeTokens(repository, node);
  const auth = authOptions(repository, node.holder);
  await renewWhenDue(repository);
  const tls = tlsOptions(repository);
  writeServiceConfig(node.layout, { ...node.serviceConfig, ...ofThisStart, auth, tls });
}

async function launchNode(node: StorageNode, { signal }: NodeOptions): Promise<void> {
  const { dataDir, logFile } = node.layout;
  const main = serviceEntryPoint(node.service);
  await launchService({ what: node.what, main, dataDir, logFile, readyTimeoutMs: READY_TIMEOUT_MS, signal });
}

/**
 * Starts nodes that do not run, all at once; tells of them in their order. The caller holds the lock.
 * @throws what kept the first that failed from starting; the others are stopped again
 */
async function launchNodes(repository: Repository, nodes: readonly StorageNode[], options: NodeOptions): Promise<void> {
  for (const node of nodes) await prepareNode(repository, node);
  const launches = nodes.map((node) => launchNode(node, options));
  const ended = Promise.allSettled(launches);
  try {
    for (const [index, node] of nodes.entries()) {
      options.onEvent?.({ kind: 'starting', node });
      await launches[index];
      options.onEvent?.({ kind: 'started', node });
    }
  } catch (error) {
    await ended;
    for (const node of nodes) await stopNode(node, {});
    throw error;
  }
}

/**
 * Waits for a node whose launch was broken off by the death of the command: it lives, and serves sooner or later.
 * @throws ControlPlaneError `service-failed`, `service-timeout`, `interrupted`
 */
async function waitUntilServing(node: StorageNode, { signal }: NodeOptions): Promise<void> {
  const { dataDir, logFile } = node.layout;
  if (!ProcessFlag.isAbandoned(dataDir, LAUNCH_FLAG)) return;
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    throwIfInterrupted(signal);
    if (nodeProcess(node) === undefined)
      throw new ControlPlaneError('service-failed', `${node.what} ended while it was starting; its log is ${logFile}`);
    try {
      await node.checkHealth(HEALTH_TIMEOUT_MS);
      break;
    } catch (error) {
      if (performance.now() >= deadline)
        throw new ControlPlaneError(
          'service-timeout',
          `${node.what} does not serve (${oneLine(error)}); its log is ${logFile}`,
          { cause: error },
        );
    }
    await sleep(HEALTH_PAUSE_MS); // another command's child: no event tells
  }
  ProcessFlag.removeAbandoned(dataDir, LAUNCH_FLAG);
}

async function stopNode(node: StorageNode, options: NodeOptions & StopOptions): Promise<void> {
  const running = nodeProcess(node);
  if (running === undefined) {
    options.onEvent?.({ kind: 'not-running', node });
    return;
  }
  options.onEvent?.({ kind: 'stopping', node });
  if (options.immediate === true) signalProcess(running, 'SIGKILL');
  const termination =
    options.immediate === true && (await waitForExit(running, STOP_GRACE_MS))
      ? 'killed'
      : await terminate(running, STOP_GRACE_MS);
  options.onEvent?.({ kind: 'stopped', node, termination });
}

function lockNodes<T>(repository: Repository, options: NodeOptions, work: () => Promise<T>): Promise<T> {
  return withProcessLock(
    repository.layout.locks,
    'nodes',
    { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is starting or stopping the nodes', signal: options.signal },
    work,
  );
}

/**
 * Starts the pageserver and the safekeepers that do not run; returns when all serve.
 * @throws ControlPlaneError for the first that cannot start (`port-taken`, `service-failed`, …); those that this call started are stopped again
 */
export async function startNodes(repository: Repository, options: NodeOptions = {}): Promise<void> {
  await lockNodes(repository, options, async () => {
    const nodes = await storageNodes(repository);
    const stopped = nodes.filter((node) => nodeProcess(node) === undefined);
    for (const node of nodes) {
      if (stopped.includes(node)) continue;
      await waitUntilServing(node, options);
      options.onEvent?.({ kind: 'already-running', node });
    }
    await launchNodes(repository, stopped, options);
  });
}

/** How nodes end. */
export interface StopOptions {
  /** End them at once, as a power failure would. Nothing acknowledged is lost; the next start takes longer. */
  readonly immediate?: boolean | undefined;
}

/** Stops the pageserver and the safekeepers that run; returns when they are gone. The caller has stopped the computes. */
export async function stopNodes(repository: Repository, options: NodeOptions & StopOptions = {}): Promise<void> {
  await lockNodes(repository, options, async () => {
    // The pageserver first: it reports to safekeepers what is durable while it flushes.
    for (const node of await storageNodes(repository)) await stopNode(node, options);
  });
}

/** Starts one node unless it runs. */
export async function startNode(repository: Repository, node: StorageNode, options: NodeOptions = {}): Promise<void> {
  await lockNodes(repository, options, async () => {
    if (nodeProcess(node) === undefined) await launchNodes(repository, [node], options);
  });
}

/** Stops one node if it runs. */
export async function stopOneNode(repository: Repository, node: StorageNode, options: NodeOptions = {}): Promise<void> {
  await lockNodes(repository, options, () => stopNode(node, options));
}

/**
 * Restarts the nodes one by one, so that with three safekeepers commits go on, and with one they wait. Computes keep running: what they ask for
 * meanwhile waits for the node that serves it.
 */
export async function restartNodes(repository: Repository, options: NodeOptions = {}): Promise<void> {
  await lockNodes(repository, options, async () => {
    for (const node of await storageNodes(repository)) {
      await stopNode(node, options);
      await launchNodes(repository, [node], options);
    }
  });
}

/**
 * Makes sure that what a branch or a compute needs is there: the pageserver, and a majority of the safekeepers.
 * @throws ControlPlaneError `not-running`
 */
export async function requireNodes(repository: Repository): Promise<void> {
  if (nodeProcess(pageserverNode(repository)) === undefined)
    throw new ControlPlaneError('not-running', "the pageserver is not running: start it with 'zenith start'");
  const safekeepers = await safekeepersOf(repository);
  const voters = votersOf(safekeepers);
  const running = voters.filter((node) => nodeProcess(safekeeperNode(repository, node)) !== undefined);
  if (hasQuorum(safekeepers.configuration, (id) => running.some((node) => node.id === id))) return;
  const needed = `${quorumSize(voters.length)} are needed`;
  throw new ControlPlaneError(
    'not-running',
    `${running.length} of ${voters.length} safekeepers run, but ${safekeepers.configuration.newMembers === null ? needed : 'a majority is needed of the members before and of those after the change under way'}: start them with 'zenith start'`,
  );
}
