import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AuthError, keyFileName, keyId, newKey, readPrivateKey } from '@zenith/auth';
import { ControlPlaneError } from '../errors.ts';
import { replaceFile } from '../metadata/replace-file.ts';
import type { AuthLayout } from '../repository/layout.ts';

/**
 * Makes a key that signs from now on; those before stay accepted. Durable when it returns.
 * @returns its id
 * @throws ControlPlaneError `system`
 */
export function makeSigningKey(layout: AuthLayout): string {
  const key = newKey();
  try {
    mkdirSync(layout.keys, { recursive: true, mode: 0o700 });
    chmodSync(layout.root, 0o700);
  } catch (error) {
    throw new ControlPlaneError('system', `cannot make ${layout.keys}: ${(error as Error).message}`, { cause: error });
  }
  // Public first: nothing is ever signed by a key that nobody accepts.
  replaceFile(join(layout.keys, keyFileName(key.id)), key.publicPem);
  replaceFile(layout.signingKey, key.privatePem);
  return key.id;
}

/** The id of the key that signs. @throws ControlPlaneError `repository-invalid` when there is none, or it cannot be used */
export function signingKeyId(layout: AuthLayout): string {
  try {
    return keyId(readPrivateKey(layout.signingKey));
  } catch (error) {
    throw keyError(error);
  }
}

/** A failure to use the signing key, with what to do about it; anything else as it is. */
export function keyError(error: unknown): unknown {
  if (!(error instanceof AuthError)) return error;
  return new ControlPlaneError('repository-invalid', `${error.message}: 'zenith auth rotate' makes a new one`, {
    cause: error,
  });
}
