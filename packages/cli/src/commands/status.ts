import { formatLsn, type Lsn } from '@zenith/base';
import {
  clusterStatus,
  type BranchStatus,
  type ClusterStatus,
  type JsonValue,
  type NodeStatus,
} from '@zenith/control-plane';
import { repositoryOf, shownPath, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatBytes, formatTable } from '../output/table.ts';

function shownLsn(lsn: Lsn | undefined): string {
  return lsn === undefined ? '-' : formatLsn(lsn);
}

function jsonLsn(lsn: Lsn | undefined): string | null {
  return lsn === undefined ? null : formatLsn(lsn);
}

function nodeName({ node }: NodeStatus): string {
  return node.service === 'pageserver' ? 'pageserver' : `safekeeper ${node.id}`;
}

function parentOf({ branch }: BranchStatus, branches: readonly BranchStatus[]): string {
  const { ancestor, startLsn } = branch.record;
  if (ancestor === undefined) return '-';
  const name = branches.find((one) => one.branch.timeline === ancestor)?.branch.name ?? ancestor;
  return `${name}@${formatLsn(startLsn)}`;
}

/** The whole status for a person; never empty. */
function statusLines(context: CommandContext, status: ClusterStatus, host: string): string[] {
  const nodes = status.nodes.map((one) => [
    nodeName(one),
    one.state,
    `${host}:${one.node.port}`,
    `${host}:${one.node.httpPort}`,
    one.pid === undefined ? '-' : String(one.pid),
    one.message ?? '',
  ]);
  const branches = status.branches.map((one) => [
    one.branch.name,
    parentOf(one, status.branches),
    shownLsn(one.commitLsn),
    shownLsn(one.lastRecordLsn),
    shownLsn(one.diskConsistentLsn),
    shownLsn(one.remoteConsistentLsn),
    one.lagBytes === undefined ? '-' : formatBytes(one.lagBytes),
  ]);
  const endpoints = status.endpoints.map((one) => [
    one.name,
    one.branch,
    one.status.state,
    `${host}:${one.port}`,
    shownLsn(one.commitLsn),
    one.status.process === undefined ? '-' : String(one.status.process.pid),
    one.status.state === 'running' ? '' : (one.status.message ?? ''),
  ]);
  return [
    `Repository ${shownPath(context, status.root)}, PostgreSQL ${status.pgMajor}`,
    '',
    ...formatTable([['NODE', 'STATUS', 'ADDRESS', 'HTTP', 'PID', ''], ...nodes]),
    '',
    ...formatTable([['BRANCH', 'PARENT', 'COMMITTED', 'INGESTED', 'DURABLE', 'REMOTE', 'LAG'], ...branches]),
    '',
    ...(endpoints.length === 0
      ? ["No postgres node yet: start one with 'zenith pg start main'"]
      : formatTable([['ENDPOINT', 'BRANCH', 'STATUS', 'ADDRESS', 'LSN', 'PID', ''], ...endpoints])),
  ];
}

function statusJson(status: ClusterStatus, host: string): JsonValue {
  return {
    repository: status.root,
    tenant: status.tenant,
    pgVersion: status.pgMajor,
    nodes: status.nodes.map(({ node, state, pid, message }) => ({
      service: node.service,
      id: node.id ?? null,
      status: state,
      host: node.host,
      port: node.port,
      httpPort: node.httpPort,
      pid: pid ?? null,
      message: message ?? null,
    })),
    branches: status.branches.map(
      ({ branch, commitLsn, lastRecordLsn, diskConsistentLsn, remoteConsistentLsn, lagBytes }) => ({
        name: branch.name,
        timeline: branch.timeline,
        ancestor: branch.record.ancestor ?? null,
        startLsn: formatLsn(branch.record.startLsn),
        commitLsn: jsonLsn(commitLsn),
        lastRecordLsn: jsonLsn(lastRecordLsn),
        diskConsistentLsn: jsonLsn(diskConsistentLsn),
        remoteConsistentLsn: jsonLsn(remoteConsistentLsn),
        lagBytes: lagBytes ?? null,
      }),
    ),
    endpoints: status.endpoints.map(({ name, branch, port, commitLsn, status: state }) => ({
      name,
      branch,
      host,
      port,
      status: state.state,
      lsn: jsonLsn(commitLsn),
      startLsn: jsonLsn(state.supervisor?.startLsn ?? undefined),
      pid: state.process?.pid ?? null,
      postgresPid: state.supervisor?.postgresPid ?? null,
      message: state.message ?? null,
    })),
  };
}

/** `zenith status` */
export async function status(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  const cluster = await clusterStatus(repository);
  for (const line of statusLines(context, cluster, repository.config.host)) context.output.line(line);
  return statusJson(cluster, repository.config.host);
}
