import { execFileSync } from 'node:child_process';
import { lchownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The OS user PostgreSQL runs as in tests: none of its own for an ordinary user, an unprivileged one for root. */
export interface OsUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** For root the user `postgres` where it exists, else `nobody`; for anybody else nothing. PostgreSQL refuses to run as root. */
export function unprivilegedUser(): OsUser {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      return {
        uid: Number(execFileSync('id', ['-u', name], { stdio: ['ignore', 'pipe', 'ignore'] })),
        gid: Number(execFileSync('id', ['-g', name], { stdio: ['ignore', 'pipe', 'ignore'] })),
      };
    } catch {
      continue; // no such user: the next name
    }
  }
  throw new Error("neither 'postgres' nor 'nobody' exists: PostgreSQL cannot run as root");
}

/** Gives `path` and all below it to `user`; does nothing for an ordinary user. */
export function chownTree(path: string, user: OsUser): void {
  if (user.uid === undefined || user.gid === undefined) return;
  lchownSync(path, user.uid, user.gid);
  for (const entry of readdirSync(path, { withFileTypes: true, recursive: true }))
    lchownSync(join(entry.parentPath, entry.name), user.uid, user.gid);
}
