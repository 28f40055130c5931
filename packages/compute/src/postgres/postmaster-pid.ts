import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What PostgreSQL writes about itself. PG: miscadmin.h, "LOCK_FILE_LINE_*": pid @1, data directory @2, …, status @8. */
export interface PostmasterPid {
  readonly pid: number;
  /** `starting`, `stopping`, `ready`, `standby`; empty while PostgreSQL has not come that far. */
  readonly status: string;
}

const LINE_PID = 0;
const LINE_STATUS = 7;

/** Reads `postmaster.pid` of a data directory; undefined when there is none, or none that is complete yet. */
export function readPostmasterPid(pgdata: string): PostmasterPid | undefined {
  let text: string;
  try {
    text = readFileSync(join(pgdata, 'postmaster.pid'), 'utf8');
  } catch {
    return undefined; // no server, or it is just removing the file
  }
  const lines = text.split('\n');
  const pid = Number(lines[LINE_PID]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, status: (lines[LINE_STATUS] ?? '').trim() };
}
