import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Repository } from '../repository/repository.ts';

/**
 * Removes what lies outside of a compute's own folder because PostgreSQL's OS user could not get to it there (compute/os-user/staging.ts); only root's computes have that.
 * @param dataDir the compute's own folder
 */
export async function removeStagedCompute({ config }: Repository, dataDir: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { chooseOsUser, Staging, STAGING_ROOT } = await import('@zenith/compute');
  const staged = new Staging(chooseOsUser(config.osUser ?? undefined)).directory(dataDir);
  // <staging root>/<key of the folder>/compute: nothing else has that key.
  const keyed = dirname(staged);
  if (dirname(keyed) === STAGING_ROOT) rmSync(keyed, { recursive: true, force: true, maxRetries: 3 });
}
