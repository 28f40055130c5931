import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { ComputeError } from '../errors.ts';

/** The OS user PostgreSQL runs as. */
export interface OsUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** The ids to spawn with; empty when it is the user this process runs as anyway. */
  readonly spawnAs: { readonly uid?: number; readonly gid?: number };
}

/** Longest wait for `useradd`. Unit: milliseconds. */
const USERADD_TIMEOUT_MS = 10_000;

/**
 * Chooses the OS user PostgreSQL runs as, which refuses to run as root: an ordinary user runs it as oneself; for root it is `name` when given, else `zenith`, else `postgres`,
 * whichever exists, else a system user `zenith` made now, else `nobody`.
 * @throws ComputeError `os-user` when `name` does not exist or is root, when an ordinary user asks for somebody else, or when there is no candidate at all
 */
export function chooseOsUser(name?: string): OsUser {
  const own = userInfo();
  if (own.uid !== 0) {
    if (name !== undefined && name !== own.username)
      throw new ComputeError(
        'os-user',
        `only root can run PostgreSQL as '${name}': leave the OS user out, or run as root`,
      );
    return { name: own.username, uid: own.uid, gid: own.gid, spawnAs: {} };
  }
  if (name !== undefined) {
    const user = lookUpUser(name);
    if (user === undefined) throw new ComputeError('os-user', `there is no OS user '${name}'`);
    if (user.uid === 0)
      throw new ComputeError('os-user', 'PostgreSQL refuses to run as root: name an unprivileged OS user');
    return user;
  }
  const user = lookUpUser('zenith') ?? lookUpUser('postgres') ?? createUser('zenith') ?? lookUpUser('nobody');
  if (user === undefined || user.uid === 0)
    throw new ComputeError(
      'os-user',
      "PostgreSQL cannot run as root and no user 'zenith', 'postgres' or 'nobody' exists: make one, or name one",
    );
  return user;
}

/** Makes a system user without a home or a login; undefined when that is not possible here. */
function createUser(name: string): OsUser | undefined {
  const result = spawnSync(
    'useradd',
    ['--system', '--no-create-home', '--user-group', '--shell', '/usr/sbin/nologin', name],
    { stdio: 'ignore', timeout: USERADD_TIMEOUT_MS },
  );
  return result.status === 0 ? lookUpUser(name) : undefined;
}

/** Looks `name` up, in the password file first, then through the system's name service. */
function lookUpUser(name: string): OsUser | undefined {
  if (!/^[a-z_][a-z0-9_.-]{0,31}\$?$/i.test(name)) return undefined;
  const found = parsePasswd(readFileSync('/etc/passwd', 'utf8'), name);
  if (found !== undefined) return found;
  const result = spawnSync('getent', ['passwd', name], { encoding: 'utf8', timeout: USERADD_TIMEOUT_MS });
  return result.status === 0 ? parsePasswd(result.stdout, name) : undefined;
}

/** The user `name` in text of the form of /etc/passwd; undefined when it is not there. */
export function parsePasswd(text: string, name: string): OsUser | undefined {
  for (const line of text.split('\n')) {
    const fields = line.split(':');
    const uid = Number(fields[2]);
    const gid = Number(fields[3]);
    if (fields[0] === name && Number.isSafeInteger(uid) && Number.isSafeInteger(gid))
      return { name, uid, gid, spawnAs: { uid, gid } };
  }
  return undefined;
}
