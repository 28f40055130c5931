import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { identifyProcess, processArguments, ProcessFlag, type ProcessIdentity } from '@zenith/service';

/** Up in a service's data directory while a command launches it. One of a command that is dead says that it was killed over it. */
export const LAUNCH_FLAG = 'launch';

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * The live process of a service: the one that its pid file names, or one that was launched and has not come to its pid file yet when the command that launched it was killed.
 * A pid file outlives a killed process and its pid may by now be somebody else's, so the process must also have
 * the service's data directory in its arguments (`serve --data-dir DIR`), and its start time must be the one in the file, where the file has one.
 * @param pidFile a file in the data directory; the pid is its first word, the start time in clock ticks, if it is there, the second
 * @returns undefined when the service does not run, whatever the file says
 */
export function findServiceProcess(pidFile: string): ProcessIdentity | undefined {
  const dataDir = realPath(dirname(pidFile));
  return (
    namedProcess(pidFile, dataDir) ??
    (ProcessFlag.isAbandoned(dataDir, LAUNCH_FLAG) ? launchedProcess(dataDir) : undefined)
  );
}

/** True when the pid file of a service that does not run still names a process: that was killed. One that ends gives its data directory up, and the file names nobody then. */
export function wasKilled(pidFile: string): boolean {
  return wordsOf(pidFile)[0] !== '';
}

/** What a pid file says; one empty word when it names nobody or cannot be read. */
function wordsOf(pidFile: string): readonly [string, ...string[]] {
  let text = '';
  try {
    text = readFileSync(pidFile, 'utf8');
  } catch {
    // Not there, or not this user's: then neither is the process.
  }
  const [first = '', ...others] = text.trim().split(/\s+/);
  return [first, ...others];
}

function namedProcess(pidFile: string, dataDir: string): ProcessIdentity | undefined {
  const words = wordsOf(pidFile);
  const pid = Number(words[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const identity = identifyProcess(pid);
  if (identity === undefined) return undefined;
  if (words[1] !== undefined && /^\d+$/.test(words[1]) && Number(words[1]) !== identity.startTicks) return undefined;
  return serves(pid, dataDir) ? identity : undefined;
}

function launchedProcess(dataDir: string): ProcessIdentity | undefined {
  for (const name of readdirSync('/proc')) {
    const identity = /^\d+$/.test(name) && serves(Number(name), dataDir) ? identifyProcess(Number(name)) : undefined;
    if (identity !== undefined) return identity;
  }
  return undefined;
}

function serves(pid: number, dataDir: string): boolean {
  const argv = processArguments(pid);
  const argument = argv[argv.indexOf('--data-dir') + 1];
  return argv.includes('serve') && argument !== undefined && realPath(argument) === dataDir;
}
