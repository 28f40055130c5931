import { readIfThere } from './read-if-there.ts';

/**
 * One process for certain. A pid alone is not: the kernel gives it out again. With the moment the process started it names one process for as
 * long as the machine is up.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started. Unit: clock ticks since boot. proc(5), /proc/pid/stat, field 22. */
  readonly startTicks: number;
}

// After the command name in parentheses (which may itself hold spaces and parentheses): state is field 3, num_threads field 20, starttime field 22.
const STATE_INDEX = 0;
const THREADS_INDEX = 17;
const START_TIME_INDEX = 19;

/** The identity of the process that has this pid now; undefined when there is none, or only a zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = Number(fields[START_TIME_INDEX]);
  if (!Number.isSafeInteger(startTicks) || isGone(fields)) return undefined;
  return { pid, startTicks };
}

/**
 * A killed process whose first thread has ended is a zombie already while its other threads still hold its files and ports: it is gone when the zombie is all that is left.
 */
function isGone(fields: readonly string[]): boolean {
  const state = fields[STATE_INDEX];
  return state === 'X' || (state === 'Z' && !(Number(fields[THREADS_INDEX]) > 1));
}

/** True while exactly this process is alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks;
}

/** The argument vector of a process; empty when it is gone. */
export function processArguments(pid: number): readonly string[] {
  return (readIfThere(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1);
}
