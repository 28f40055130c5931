import { MAIN_BRANCH, storageNodes, type EndpointRecord, type Repository } from '@zenith/control-plane';
import type { CommandContext, CommandResult } from '../command-context.ts';
import { silentOutput } from '../output/output.ts';
import { openOrMakeRepository, type InitCommandOptions } from './init.ts';
import { startIn } from './nodes.ts';
import { connectionUri, startPostgres } from './pg.ts';

/** What runs after `zenith up`. */
interface UpResult {
  readonly repository: Repository;
  /** PostgreSQL on the branch `main`. */
  readonly endpoint: EndpointRecord;
}

/** Makes what is missing, starts what is stopped, and leaves alone what runs. */
async function bringUp(context: CommandContext, options: InitCommandOptions): Promise<UpResult> {
  const repository = await openOrMakeRepository(context, options);
  await startIn(repository, context);
  const { endpoint } = await startPostgres(repository, context, MAIN_BRANCH);
  return { repository, endpoint };
}

/** How to connect, what runs and how to stop it. */
async function upLines({ repository, endpoint }: UpResult): Promise<string[]> {
  const { config } = repository;
  const nodes = (await storageNodes(repository)).map(
    (node) => `${node.service}${node.id === undefined ? '' : ` ${node.id}`} on ${node.host}:${node.port}`,
  );
  return [
    '',
    `Zenith is running: PostgreSQL ${config.pgMajor} on branch '${endpoint.branch}'.`,
    `  connect   psql -h ${config.host} -p ${endpoint.port} -U ${config.superuser} postgres`,
    `            ${connectionUri(config, endpoint.port)}`,
    `  storage   ${nodes.join(', ')}`,
    '  look      npx zenith status',
    '  branch    npx zenith branch NAME && npx zenith pg start NAME',
    '  stop      npx zenith stop',
  ];
}

/** `zenith up`; with `demo` it plays a session on the way. */
export async function up(
  context: CommandContext,
  { demo, ...options }: InitCommandOptions & { readonly demo?: boolean },
): CommandResult {
  const played = demo === true ? await (await import('../demo/demo.ts')).playDemo(context, options) : null;
  const result = await bringUp(demo === true ? { ...context, output: silentOutput } : context, options);
  for (const line of await upLines(result)) context.output.line(line);
  const { config, layout } = result.repository;
  return {
    repository: layout.root,
    branch: result.endpoint.branch,
    host: config.host,
    port: result.endpoint.port,
    user: config.superuser,
    uri: connectionUri(config, result.endpoint.port),
    demo: played,
  };
}
