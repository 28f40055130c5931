import { formatLsn } from '@zenith/base';
import {
  clusterStatus,
  createEndpoint,
  startEndpoint,
  stopEndpoint,
  type EndpointRecord,
  type JsonValue,
  type Repository,
  type StartedEndpoint,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';

/** While a server starts a dot is added this often. Unit: milliseconds. */
const DOT_EVERY_MS = 1_000;

function endpointJson({ config }: Repository, endpoint: EndpointRecord): { readonly [key: string]: JsonValue } {
  const { name, branch, port, settings } = endpoint;
  return { name, branch, host: config.host, port, user: config.superuser, uri: connectionUri(config, port), settings };
}

/** A connection string that every PostgreSQL client understands. */
export function connectionUri({ host, superuser }: Repository['config'], port: number): string {
  return `postgresql://${encodeURIComponent(superuser)}@${host.includes(':') ? `[${host}]` : host}:${port}/postgres`;
}

/** `zenith pg create` */
export async function pgCreate(
  context: CommandContext,
  branch: string,
  options: { readonly name?: string; readonly port?: number; readonly settings: Record<string, string> },
): CommandResult {
  const repository = repositoryOf(context);
  const endpoint = await createEndpoint(repository, { branch, ...options });
  context.output.line(
    `Created postgres node '${endpoint.name}' on branch '${branch}' at '${repository.config.host}:${endpoint.port}'`,
  );
  return endpointJson(repository, endpoint);
}

/** Starts an endpoint and shows the waiting as pg_ctl does. */
export async function startPostgres(
  repository: Repository,
  { output, signal }: CommandContext,
  name: string,
  options: { readonly port?: number | undefined; readonly settings?: Record<string, string> | undefined } = {},
): Promise<StartedEndpoint> {
  const { host, superuser } = repository.config;
  let dots: NodeJS.Timeout | undefined;
  const onStarting = ({ port }: EndpointRecord): void => {
    output.line(`Starting postgres node at 'host=${host} port=${port} user=${superuser}'`);
    output.write('waiting for server to start...');
    dots = setInterval(() => output.write('.'), DOT_EVERY_MS);
  };
  try {
    const started = await startEndpoint(repository, name, { ...options, onStarting, signal });
    if (started.started) output.line('. done');
    else
      output.line(
        `Postgres node '${name}' is running already at 'host=${host} port=${started.endpoint.port} user=${superuser}'`,
      );
    return started;
  } catch (error) {
    if (dots !== undefined) output.line(' stopped waiting');
    throw error;
  } finally {
    clearInterval(dots);
  }
}

/** `zenith pg start` */
export async function pgStart(
  context: CommandContext,
  name: string,
  options: { readonly port?: number; readonly settings: Record<string, string> },
): CommandResult {
  const repository = repositoryOf(context);
  const settings = Object.keys(options.settings).length === 0 ? undefined : options.settings;
  const { endpoint, started } = await startPostgres(repository, context, name, { port: options.port, settings });
  return { ...endpointJson(repository, endpoint), started };
}

/** `zenith pg stop` */
export async function pgStop(
  context: CommandContext,
  name: string,
  { destroy, immediate }: { readonly destroy?: boolean; readonly immediate?: boolean },
): CommandResult {
  const outcome = await stopEndpoint(repositoryOf(context), name, {
    destroy,
    immediate,
    onStopping: () => context.output.write('waiting for server to shut down...'),
  });
  if (outcome === 'not-running') context.output.line(`Postgres node '${name}' is not running`);
  else
    context.output.line(
      outcome === 'killed' && immediate !== true ? '. killed; nothing acknowledged is lost' : '. done',
    );
  if (destroy === true) context.output.line(`Postgres node '${name}' was removed; its branch stays`);
  return { name, outcome, destroyed: destroy === true };
}

/** `zenith pg list` */
export async function pgList(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  const { endpoints } = await clusterStatus(repository);
  const { host } = repository.config;
  context.output.line('BRANCH\tADDRESS\t\tLSN\t\tSTATUS');
  for (const { name, branch, port, commitLsn, status } of endpoints) {
    const shown = name === branch ? branch : `${branch} (${name})`;
    context.output.line(
      `${shown}\t${host}:${port}\t${commitLsn === undefined ? '-' : formatLsn(commitLsn)}\t${status.state}`,
    );
  }
  return {
    endpoints: endpoints.map((endpoint) => ({
      ...endpointJson(repository, endpoint),
      lsn: endpoint.commitLsn === undefined ? null : formatLsn(endpoint.commitLsn),
      status: endpoint.status.state,
      message: endpoint.status.message ?? null,
    })),
  };
}
