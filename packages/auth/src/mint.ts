import { readPrivateKey, keyId } from './key-folder.ts';
import { ALGORITHM, ISSUER } from './claims.ts';
import type { Identity } from './permissions.ts';

/**
 * Signs a token.
 * @param keyFile the private key
 * @param lifetimeSeconds how long it is good for; left out: until its key is removed
 * @throws AuthError `keys-unusable`
 */
export async function mintToken(
  keyFile: string,
  { role, tenant, timeline }: Identity,
  lifetimeSeconds?: number,
): Promise<string> {
  const key = readPrivateKey(keyFile);
  const { SignJWT } = await import('jose');
  const token = new SignJWT({
    role,
    ...(tenant === undefined ? {} : { tenant }),
    ...(timeline === undefined ? {} : { timeline }),
  })
    .setProtectedHeader({ alg: ALGORITHM, kid: keyId(key) })
    .setIssuer(ISSUER)
    .setIssuedAt();
  if (lifetimeSeconds !== undefined) token.setExpirationTime(Math.floor(Date.now() / 1000) + lifetimeSeconds);
  return token.sign(key);
}
