import { readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { identifyProcess, processArguments, type ProcessIdentity } from '@zenith/service';

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * The live process behind a service's pid file. A pid file outlives a killed process and its pid may by now be somebody else's, so the process must also have
 * the service's data directory in its arguments (`serve --data-dir DIR`), and its start time must be the one in the file, where the file has one.
 * @param pidFile a file in the data directory; the pid is its first word, the start time in clock ticks, if it is there, the second
 * @returns undefined when the service does not run, whatever the file says
 */
export function findServiceProcess(pidFile: string): ProcessIdentity | undefined {
  let words: string[];
  try {
    words = readFileSync(pidFile, 'utf8').trim().split(/\s+/);
  } catch {
    return undefined;
  }
  const pid = Number(words[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const identity = identifyProcess(pid);
  if (identity === undefined) return undefined;
  if (words[1] !== undefined && /^\d+$/.test(words[1]) && Number(words[1]) !== identity.startTicks) return undefined;
  const processArgv = processArguments(pid);
  const argument = processArgv[processArgv.indexOf('--data-dir') + 1];
  if (!processArgv.includes('serve') || argument === undefined) return undefined;
  return realPath(argument) === realPath(dirname(pidFile)) ? identity : undefined;
}
