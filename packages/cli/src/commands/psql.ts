import { spawn } from 'node:child_process';
import { ControlPlaneError, listEndpoints, MAIN_BRANCH } from '@zenith/control-plane';
import { repositoryOf, type CommandContext } from '../command-context.ts';
import { connectionUri } from './pg.ts';

/** Found on the PATH; the one program that Zenith uses and does not bring. */
const PSQL = 'psql';

/** Where psql is to connect to. */
export interface PsqlTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly uri: string;
}

/** The server that runs on a branch, or under this endpoint's name. @throws ControlPlaneError `no-such-branch`, `not-running` */
export async function psqlTarget(context: CommandContext, branch: string = MAIN_BRANCH): Promise<PsqlTarget> {
  const repository = repositoryOf(context);
  const endpoints = await listEndpoints(repository);
  const candidates = endpoints.filter((endpoint) => endpoint.name === branch || endpoint.branch === branch);
  if (candidates.length === 0) await repository.catalog.branch(branch);
  const running = candidates.find(({ status }) => status.state === 'running');
  if (running === undefined)
    throw new ControlPlaneError(
      'not-running',
      `no postgres node is running on '${branch}': start one with 'zenith pg start ${branch}'`,
    );
  const { host, superuser } = repository.config;
  return {
    host,
    port: running.port,
    user: superuser,
    database: 'postgres',
    uri: connectionUri(repository.config, running.port),
  };
}

/**
 * Runs psql on the terminal until it ends.
 * @param args more arguments for it
 * @returns its exit status
 * @throws ControlPlaneError `system` when psql is not installed
 */
export function runPsql({ host, port, user, database, uri }: PsqlTarget, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(PSQL, ['-h', host, '-p', String(port), '-U', user, '-d', database, ...args], {
      stdio: 'inherit',
    });
    child.once('error', () =>
      reject(
        new ControlPlaneError(
          'system',
          `psql is not installed here (it comes with a distribution's PostgreSQL client); any other client can use ${uri}`,
        ),
      ),
    );
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 0) : 1));
  });
}
