import { chmodSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder that keeps what was built and what earlier runs found, outside of any clone. For root one that PostgreSQL's OS user can get to.
 * @param named the folder that the command line names, if it does
 */
export function cacheFolder(named?: string): string {
  const folder =
    named ??
    (process.getuid?.() === 0
      ? '/var/cache/zenith-conformance'
      : join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'zenith-conformance'));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  return folder;
}
