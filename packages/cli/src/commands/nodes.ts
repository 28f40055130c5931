import { unreachable } from '@zenith/base';
import {
  finishTimelines,
  listEndpoints,
  nodeProcess,
  restartNodes,
  startNodes,
  stopEndpoint,
  stopNodes,
  storageNodes,
  type JsonValue,
  type NodeEvent,
  type Repository,
  type StorageNode,
} from '@zenith/control-plane';
import { repositoryOf, shownPath, type CommandContext, type CommandResult } from '../command-context.ts';

function title(node: StorageNode): string {
  return node.service === 'pageserver' ? 'Pageserver' : `Safekeeper ${node.id}`;
}

/** Tells a person what happens to nodes. */
function nodeEventLine(context: CommandContext, { layout }: Repository, event: NodeEvent): string | undefined {
  const { node } = event;
  const address = `'${node.host}:${node.port}'`;
  switch (event.kind) {
    case 'starting':
      return node.service === 'pageserver'
        ? `Starting pageserver at ${address} in ${shownPath(context, layout.root)}`
        : undefined;
    case 'started':
      return node.service === 'pageserver' ? 'Pageserver started' : `Safekeeper ${node.id} started at ${address}`;
    case 'already-running':
      return `${title(node)} is running already at ${address}`;
    case 'stopping':
      return undefined;
    case 'not-running':
      return `${title(node)} is not running`;
    case 'stopped':
      return event.termination === 'clean'
        ? `${title(node)} stopped`
        : `${title(node)} was killed; nothing acknowledged is lost`;
    default:
      return unreachable(event);
  }
}

function nodeOptions(
  repository: Repository,
  context: CommandContext,
): { onEvent: (event: NodeEvent) => void; signal: AbortSignal } {
  const onEvent = (event: NodeEvent): void => {
    const line = nodeEventLine(context, repository, event);
    if (line !== undefined) context.output.line(line);
  };
  return { onEvent, signal: context.signal };
}

async function nodesJson(repository: Repository): Promise<JsonValue> {
  return (await storageNodes(repository)).map((node) => ({
    service: node.service,
    id: node.id ?? null,
    host: node.host,
    port: node.port,
    httpPort: node.httpPort,
    pid: nodeProcess(node)?.pid ?? null,
  }));
}

/** `zenith start`, in a repository that was opened already. */
export async function startIn(repository: Repository, context: CommandContext): CommandResult {
  await startNodes(repository, nodeOptions(repository, context));
  // What a command that died has left to remove; what cannot be removed now is tried again the next time.
  await finishTimelines(repository);
  return { nodes: await nodesJson(repository) };
}

/** `zenith start` */
export function start(context: CommandContext): CommandResult {
  return startIn(repositoryOf(context), context);
}

/** `zenith stop`: computes first, so that their last WAL reaches the quorum. */
export async function stop(context: CommandContext, { immediate }: { readonly immediate?: boolean }): CommandResult {
  const repository = repositoryOf(context);
  const running = (await listEndpoints(repository)).filter(({ status }) => status.process !== undefined);
  const stopped = await Promise.allSettled(
    running.map(async ({ name }) => {
      const outcome = await stopEndpoint(repository, name, { immediate });
      const killed = outcome === 'killed' && immediate !== true;
      context.output.line(`Postgres node '${name}' ${killed ? 'was killed; nothing acknowledged is lost' : 'stopped'}`);
    }),
  );
  // The nodes stay up under a compute that could not be stopped.
  const failure = stopped.find((one) => one.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  await stopNodes(repository, { ...nodeOptions(repository, context), immediate });
  return { nodes: await nodesJson(repository) };
}

/** `zenith restart`: storage nodes, one by one; computes keep running. */
export async function restart(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  await restartNodes(repository, nodeOptions(repository, context));
  return { nodes: await nodesJson(repository) };
}
