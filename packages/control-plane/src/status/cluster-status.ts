import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import { listBranches, type Branch } from '../branches/create-branch.ts';
import type { PageserverTimeline, SafekeeperTimeline } from '../clients/answers.ts';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import { listEndpoints, type ListedEndpoint } from '../endpoints/endpoints.ts';
import { oneLine } from '../errors.ts';
import { nodeProcess, storageNodes, type StorageNode } from '../nodes/node.ts';
import type { Repository } from '../repository/repository.ts';

/** `running` is well; `degraded` serves, but not all it should; `unhealthy` lives but does not answer; `stopped`. */
export type NodeState = 'running' | 'degraded' | 'unhealthy' | 'stopped';

/** A storage node and how it is. */
export interface NodeStatus {
  readonly node: StorageNode;
  readonly state: NodeState;
  readonly pid: number | undefined;
  /** Why it is degraded or unhealthy. */
  readonly message: string | undefined;
}

/** A branch and how far its WAL has come. LSNs are undefined where nobody who runs knows them. */
export interface BranchStatus {
  readonly branch: Branch;
  /** Committed on the quorum. */
  readonly commitLsn: Lsn | undefined;
  /** Ingested by the pageserver. */
  readonly lastRecordLsn: Lsn | undefined;
  /** Durable on the pageserver. */
  readonly diskConsistentLsn: Lsn | undefined;
  /** In remote storage. */
  readonly remoteConsistentLsn: Lsn | undefined;
  /** How far ingest is behind what is committed. Unit: bytes of WAL. */
  readonly lagBytes: number | undefined;
}

/** Everything there is in a repository, and how it is. */
export interface ClusterStatus {
  readonly root: string;
  readonly tenant: TenantId;
  readonly pgMajor: number;
  readonly nodes: readonly NodeStatus[];
  readonly branches: readonly BranchStatus[];
  readonly endpoints: readonly (ListedEndpoint & { readonly commitLsn: Lsn | undefined })[];
}

/** Unit: milliseconds. */
const HEALTH_TIMEOUT_MS = 3_000;

/** Finds out how a storage node is. Never throws for one that is down. */
export async function nodeStatus(node: StorageNode): Promise<NodeStatus> {
  const pid = nodeProcess(node)?.pid;
  if (pid === undefined) return { node, state: 'stopped', pid, message: undefined };
  try {
    const message = await node.checkHealth(HEALTH_TIMEOUT_MS);
    return { node, state: message === undefined ? 'running' : 'degraded', pid, message };
  } catch (error) {
    return { node, state: 'unhealthy', pid, message: oneLine(error) };
  }
}

/** What the nodes that run know about timelines. */
interface Knowledge {
  readonly pageserver: ReadonlyMap<TimelineId, PageserverTimeline>;
  readonly safekeepers: readonly SafekeeperTimeline[];
}

async function askNodes(repository: Repository, nodes: readonly NodeStatus[]): Promise<Knowledge> {
  const alive = nodes.filter(({ state }) => state !== 'stopped').map(({ node }) => node);
  const pageserver = alive.some(({ service }) => service === 'pageserver')
    ? new PageserverClient(repository).timelines()
    : Promise.resolve([]);
  const safekeepers = alive
    .filter(({ id }) => id !== undefined)
    .map((node) => new SafekeeperClient(repository, node.id ?? 0, node.httpPort).timelines());
  // A node that does not answer is shown as unhealthy already; here it just knows nothing.
  const [fromPageserver, ...fromSafekeepers] = await Promise.allSettled([pageserver, ...safekeepers] as const);
  return {
    pageserver: new Map(
      fromPageserver.status === 'fulfilled' ? fromPageserver.value.map((one) => [one.timeline, one]) : [],
    ),
    safekeepers: fromSafekeepers.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])),
  };
}

function largest(lsns: readonly (Lsn | null | undefined)[]): Lsn | undefined {
  const known = lsns.filter((one) => one !== undefined && one !== null);
  return known.length === 0 ? undefined : (Math.max(...known) as Lsn);
}

function branchStatus(branch: Branch, knowledge: Knowledge, endpoints: readonly ListedEndpoint[]): BranchStatus {
  const pageserver = knowledge.pageserver.get(branch.timeline);
  const commitLsn = largest([
    // Until WAL of its own is written, a timeline ends where it starts.
    knowledge.safekeepers.length === 0 && pageserver === undefined ? undefined : branch.record.startLsn,
    ...knowledge.safekeepers.filter((one) => one.timeline === branch.timeline).map((one) => one.commitLsn),
    ...endpoints.filter((one) => one.branch === branch.name).map((one) => one.status.supervisor?.commitLsn),
  ]);
  const lastRecordLsn = pageserver?.lastRecordLsn;
  const lagBytes =
    commitLsn === undefined || lastRecordLsn === undefined ? undefined : Math.max(0, commitLsn - lastRecordLsn);
  return {
    branch,
    commitLsn,
    lastRecordLsn,
    diskConsistentLsn: pageserver?.diskConsistentLsn,
    remoteConsistentLsn: pageserver?.remoteConsistentLsn ?? undefined,
    lagBytes,
  };
}

/** Asks everybody. Never throws for what is down: that is what it tells. @throws CorruptionError when the metadata cannot be read */
export async function clusterStatus(repository: Repository): Promise<ClusterStatus> {
  const [nodes, endpoints, branches] = await Promise.all([
    storageNodes(repository).then((all) => Promise.all(all.map(nodeStatus))),
    listEndpoints(repository),
    listBranches(repository),
  ]);
  const knowledge = await askNodes(repository, nodes);
  const branchStatuses = branches.map((branch) => branchStatus(branch, knowledge, endpoints));
  const commitOf = new Map(branchStatuses.map((status) => [status.branch.name, status.commitLsn]));
  return {
    root: repository.layout.root,
    tenant: repository.config.tenant,
    pgMajor: repository.config.pgMajor,
    nodes,
    branches: branchStatuses,
    endpoints: endpoints.map((endpoint) => ({
      ...endpoint,
      commitLsn: endpoint.status.supervisor?.commitLsn ?? commitOf.get(endpoint.branch),
    })),
  };
}
