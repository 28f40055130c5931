import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { ComputeError, systemCodeOf } from '../errors.ts';

/**
 * Takes the pid file of a compute for this process: the control plane finds the supervisor by it. A file left behind by a supervisor that is gone is replaced.
 * @param dataDir what the supervisors of this compute are told as `--data-dir`
 * @throws ComputeError `already-running`
 */
export function takePidFile(file: string, dataDir: string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(file, `${process.pid}\n`, { flag: 'wx' });
      return;
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST' || attempt === 1) throw error;
    }
    const pid = Number(readFileSync(file, 'utf8').trim().split(/\s+/)[0]);
    if (pid !== process.pid && isSupervisorOf(pid, dataDir))
      throw new ComputeError('already-running', `a supervisor (process ${pid}) runs this compute already`);
    rmSync(file, { force: true });
  }
}

/** Gives the pid file up. */
export function releasePidFile(file: string): void {
  rmSync(file, { force: true });
}

/** True when the process is a live supervisor of that directory: a pid alone may be somebody else's by now. */
function isSupervisorOf(pid: number, dataDir: string): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return args.includes('serve') && args.includes(dataDir);
  } catch {
    return false; // no such process
  }
}
