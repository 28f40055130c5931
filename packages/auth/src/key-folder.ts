import { generateKeyPairSync, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthError } from './errors.ts';

/** A key's name: SHA-256 of its public part, base64url. What a token calls its key may be nothing else, so that it names no path. */
const KEY_ID = /^[A-Za-z0-9_-]{43}$/;

/** A new pair of keys. */
export interface NewKey {
  readonly id: string;
  /** PKCS #8, PEM. To be kept secret. */
  readonly privatePem: string;
  /** SPKI, PEM. */
  readonly publicPem: string;
}

/** The name of a key, public or private. */
export function keyId(key: KeyObject): string {
  const shared = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(shared.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
}

/** Makes an Ed25519 key. Its name does not begin with `-`, so that a command does not take it for an option. */
export function newKey(): NewKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const id = keyId(publicKey);
  if (id.startsWith('-')) return newKey(); // one of 64
  return {
    id,
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** The name of a public key's file in a folder of keys. */
export function keyFileName(id: string): string {
  return `${id}.pem`;
}

/**
 * The public key of this name in a folder, read anew each time: a key counts from the moment its file is there to the moment it is gone, without anything to reload. Undefined when there is
 * none. @throws AuthError `keys-unusable`
 */
export function readPublicKey(folder: string, id: string): KeyObject | undefined {
  if (!KEY_ID.test(id)) return undefined;
  const path = join(folder, keyFileName(id));
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new AuthError('keys-unusable', `the key ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return checked(path, id, () => createPublicKey(pem));
}

/** Reads a private key. @throws AuthError `keys-unusable` */
export function readPrivateKey(path: string): KeyObject {
  return checked(path, undefined, () => createPrivateKey(readFileSync(path)));
}

function checked(path: string, id: string | undefined, read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    // What the parser says could quote the file.
    const { code } = error as NodeJS.ErrnoException;
    throw new AuthError('keys-unusable', `the key ${path} cannot be used${code === undefined ? '' : ` (${code})`}`);
  }
  if (key.asymmetricKeyType !== 'ed25519' || (id !== undefined && keyId(key) !== id))
    throw new AuthError('keys-unusable', `the key ${path} is not the Ed25519 key that its name says`);
  return key;
}
