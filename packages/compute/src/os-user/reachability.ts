import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { OsUser } from './os-user.ts';

/**
 * The first folder on the way from the root to `path` (itself included) that `user` may not enter, judged by mode bits; undefined when there is none. What does not
 * exist yet is taken to become enterable: whoever makes it sees to that.
 */
export function firstUnreachable(path: string, user: OsUser): string | undefined {
  if (user.uid === 0) return undefined;
  const chain: string[] = [];
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    chain.push(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of chain.reverse()) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (!mayEnter(stat, user)) return folder;
  }
  return undefined;
}

/** True when the mode bits let `user` search the folder. Supplementary groups do not count: PostgreSQL is spawned without any. */
export function mayEnter(
  stat: { readonly mode: number; readonly uid: number; readonly gid: number },
  user: OsUser,
): boolean {
  if (stat.uid === user.uid) return (stat.mode & 0o100) !== 0;
  if (stat.gid === user.gid) return (stat.mode & 0o010) !== 0;
  return (stat.mode & 0o001) !== 0;
}
