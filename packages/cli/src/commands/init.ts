import {
  findRepository,
  initRepository,
  openRepositoryAt,
  type InitOptions,
  type Repository,
} from '@zenith/control-plane';
import { shownPath, type CommandContext, type CommandResult } from '../command-context.ts';

/** Options of `zenith init`, as given on the command line. */
export type InitCommandOptions = Omit<InitOptions, 'folder' | 'onProgress' | 'signal'>;

/** Makes a repository and says so. */
async function makeRepository(context: CommandContext, options: InitCommandOptions): Promise<Repository> {
  const repository = await context.output.progress('looking for PostgreSQL', (step) =>
    initRepository({ ...options, folder: context.folder, onProgress: step, signal: context.signal }),
  );
  context.output.line(`new zenith repository was created in ${shownPath(context, repository.layout.root)}`);
  return repository;
}

/** The repository the context's folder lies in; a new one when there is none. */
export async function openOrMakeRepository(context: CommandContext, options: InitCommandOptions): Promise<Repository> {
  const root = findRepository(context.folder);
  return root === undefined ? makeRepository(context, options) : openRepositoryAt(root);
}

/** `zenith init` */
export async function init(context: CommandContext, options: InitCommandOptions): CommandResult {
  const { layout, config } = await makeRepository(context, options);
  return {
    repository: layout.root,
    tenant: config.tenant,
    pgVersion: config.pgMajor,
    superuser: config.superuser,
    safekeepers: config.safekeepers.length,
    auth: config.auth,
    tls: config.tls !== false,
  };
}
