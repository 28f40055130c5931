import { readdirSync, readlinkSync } from 'node:fs';
import { basename, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ComputeError, systemCodeOf } from '../errors.ts';

/** How often leftover processes are looked at until they are gone. Unit: milliseconds. */
const LOOK_EVERY_MS = 20;

/** After an immediate stop PostgreSQL kills its own children after 5 s (SIGKILL_CHILDREN_AFTER_SECS); past this they are killed. Unit: milliseconds. */
const QUIT_MAX_MS = 6_000;

/** A killed process that is still there after this cannot be ended. Unit: milliseconds. */
const KILL_MAX_MS = 12_000;

/**
 * Ends every PostgreSQL process that an earlier supervisor left behind below `computeDir`, backends without a postmaster included: they are unfenced, and their files are about to be
 * used for something else. Does nothing when there are none.
 * @throws ComputeError `already-running` when they cannot be ended in time
 */
export async function endLeftovers(computeDir: string): Promise<void> {
  const began = performance.now();
  const asked = new Set<number>();
  for (;;) {
    const pids = postgresProcessesBelow(computeDir);
    if (pids.length === 0) return;
    const elapsed = performance.now() - began;
    if (elapsed > KILL_MAX_MS)
      throw new ComputeError(
        'already-running',
        `PostgreSQL (process ${pids.join(', ')}) still runs in '${computeDir}' and does not stop`,
      );
    for (const pid of pids) {
      if (elapsed > QUIT_MAX_MS) signal(pid, 'SIGKILL');
      else if (!asked.has(pid)) signal(pid, 'SIGQUIT');
      asked.add(pid);
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** Processes whose program is called `postgres` and that work in a folder below `computeDir`: a server works in its data directory, and a pid file may be gone or lie. */
export function postgresProcessesBelow(computeDir: string): number[] {
  const pids: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!readlinkSync(`/proc/${name}/cwd`).startsWith(computeDir + sep)) continue;
      if (basename(readlinkSync(`/proc/${name}/exe`).replace(/ \(deleted\)$/, '')) === 'postgres')
        pids.push(Number(name));
    } catch {
      continue; // it ended, or belongs to somebody else
    }
  }
  return pids;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (systemCodeOf(error) !== 'ESRCH') throw error;
  }
}
