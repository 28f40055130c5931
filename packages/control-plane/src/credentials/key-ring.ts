import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { keyFileName, mintToken, type Identity } from '@zenith/auth';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import { syncFolder } from '../metadata/replace-file.ts';
import type { Repository } from '../repository/repository.ts';
import { reissueTokens, withAuthLock } from './holders.ts';
import { keyError, makeSigningKey, signingKeyId } from './signing-key.ts';

/** A key by which services let others in. */
export interface KeyStatus {
  readonly id: string;
  /** Whether it signs new tokens; of the others only those that were signed before are good. */
  readonly signs: boolean;
  /** Unit: milliseconds since 1970. */
  readonly createdAtMs: number;
}

/** A token that was signed for a person or a tool. */
export interface IssuedToken {
  readonly token: string;
  readonly keyId: string;
  /** Until when it is good; undefined: until its key is revoked. Unit: milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
}

/** The keys that are accepted, the newest first. @throws ControlPlaneError `auth-off`, `repository-invalid`, `system` */
export function listKeys(repository: Repository): KeyStatus[] {
  requireAuth(repository);
  const { keys } = repository.layout.auth;
  const signing = signingKeyId(repository.layout.auth);
  const ids = keyIds(keys);
  const statuses = ids.map((id) => ({
    id,
    signs: id === signing,
    createdAtMs: statSync(join(keys, keyFileName(id))).mtimeMs,
  }));
  return statuses.toSorted((a, b) => Number(b.signs) - Number(a.signs) || b.createdAtMs - a.createdAtMs);
}

/**
 * Makes a new signing key, and signs the services' tokens anew with it. The keys before stay accepted. Also what makes a first key, or one in the place of one that is lost.
 * @returns the new key's id
 * @throws ControlPlaneError `auth-off`, `busy`, `system`; harmless to repeat
 */
export async function rotateKeys(repository: Repository): Promise<string> {
  requireAuth(repository);
  return withAuthLock(repository, async () => {
    const id = makeSigningKey(repository.layout.auth);
    await reissueTokens(repository);
    return id;
  });
}

/**
 * Removes a key: what it has signed is refused from now on, and who is in with it is cut off. Services show tokens of the signing key by then.
 * @param id a key's id, or its beginning, as long as no other begins so
 * @returns the key's id
 * @throws ControlPlaneError `auth-off`, `no-such-key`, `key-signs`, `busy`, `system`
 */
export async function revokeKey(repository: Repository, id: string): Promise<string> {
  requireAuth(repository);
  const { auth } = repository.layout;
  return withAuthLock(repository, async () => {
    const found = keyIds(auth.keys).filter((one) => one.startsWith(id));
    const [key] = found;
    if (key === undefined || found.length > 1 || id === '')
      throw new ControlPlaneError(
        'no-such-key',
        `${found.length > 1 ? `${found.length} keys begin with` : 'no key'} '${id}'; 'zenith auth keys' lists those there are`,
      );
    if (key === signingKeyId(auth))
      throw new ControlPlaneError(
        'key-signs',
        `key ${key} signs new tokens: 'zenith auth rotate' makes another, then it can be revoked`,
      );
    await reissueTokens(repository);
    rmSync(join(auth.keys, keyFileName(key)), { force: true });
    syncFolder(auth.keys);
    return key;
  });
}

/** Signs a token for a person or a tool. @param lifetimeSeconds undefined: good until its key is revoked @throws ControlPlaneError `auth-off`, `repository-invalid` */
export async function issueToken(
  repository: Repository,
  identity: Identity,
  lifetimeSeconds: number | undefined,
): Promise<IssuedToken> {
  requireAuth(repository);
  const { auth } = repository.layout;
  try {
    const token = await mintToken(auth.signingKey, identity, lifetimeSeconds);
    const expiresAtMs = lifetimeSeconds === undefined ? undefined : Date.now() + lifetimeSeconds * 1000;
    return { token, keyId: signingKeyId(auth), expiresAtMs };
  } catch (error) {
    throw keyError(error);
  }
}

function requireAuth({ config, layout }: Repository): void {
  if (config.auth) return;
  throw new ControlPlaneError(
    'auth-off',
    `this repository asks for no tokens: 'zenith init --auth' makes one that does; to change this one, stop everything, set "auth" to true in ${layout.configFile}, and give 'zenith auth rotate'`,
  );
}

function keyIds(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.pem'))
      .map((name) => name.slice(0, -'.pem'.length));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw new ControlPlaneError('system', `cannot read ${folder}: ${(error as Error).message}`, { cause: error });
  }
}
