import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { computeHolder, forgetTokens } from '../credentials/holders.ts';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import type { Repository } from '../repository/repository.ts';

/**
 * Removes all that an endpoint that does not run has on the disk: nothing of it is storage's. Harmless to repeat: it comes before the endpoint's entry is removed, so that whoever is killed in between can give the command again.
 * @throws ControlPlaneError `system`
 */
export async function removeComputeFiles(repository: Repository, endpoint: string): Promise<void> {
  const { dataDir } = repository.layout.compute(endpoint);
  try {
    await removeStaged(repository, dataDir);
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    const hint =
      isSystemError(error, 'EACCES') || isSystemError(error, 'EPERM') ? '; it may belong to another user' : '';
    throw new ControlPlaneError(
      'system',
      `cannot remove the files of endpoint '${endpoint}': ${(error as Error).message}${hint}`,
      { cause: error },
    );
  }
  forgetTokens(repository, computeHolder(endpoint));
}

/** Removes what lies outside of a compute's own folder because PostgreSQL's OS user could not get to it there (compute/os-user/staging.ts); only root's computes have that. */
async function removeStaged({ config }: Repository, dataDir: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { chooseOsUser, Staging, STAGING_ROOT } = await import('@zenith/compute');
  const staged = new Staging(chooseOsUser(config.osUser ?? undefined)).directory(dataDir);
  // <staging root>/<key of the folder>/compute: nothing else has that key.
  const keyed = dirname(staged);
  if (dirname(keyed) === STAGING_ROOT) rmSync(keyed, { recursive: true, force: true, maxRetries: 3 });
}
