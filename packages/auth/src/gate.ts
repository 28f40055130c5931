import * as v from 'valibot';
import { ALGORITHM, claimsSchema, ISSUER, TOKEN_LENGTH_MAX } from './claims.ts';
import { AuthError } from './errors.ts';
import { readPublicKey } from './key-folder.ts';
import { requireAllowed, type Action, type Identity, type Target } from './permissions.ts';

/** Lets in who shows a token that a key of the folder has signed. */
export class Gate {
  readonly #keys: string;

  /** @param keys the folder of public keys */
  constructor(keys: string) {
    this.#keys = keys;
  }

  /** Who the bearer of a token is. @throws AuthError `credentials-missing`, `credentials-invalid`, `keys-unusable` */
  async identify(token: string | undefined): Promise<Identity> {
    if (token === undefined || token === '')
      throw new AuthError(
        'credentials-missing',
        'a token is required: show one that a key of this service has signed (docs/security.md)',
      );
    if (token.length > TOKEN_LENGTH_MAX)
      throw new AuthError('credentials-invalid', `a token of more than ${TOKEN_LENGTH_MAX} bytes`);
    const { jwtVerify, errors } = await import('jose');
    let payload: unknown;
    try {
      const options = { algorithms: [ALGORITHM], issuer: ISSUER };
      payload = (await jwtVerify(token, ({ kid }: { readonly kid?: string }) => this.#key(kid), options)).payload;
    } catch (error) {
      if (error instanceof AuthError) throw error;
      if (error instanceof errors.JWTExpired) throw new AuthError('credentials-invalid', 'the token has expired');
      // Whatever it is, it came of the bytes of somebody unknown: it costs them their connection and nobody else anything.
      const why = error instanceof errors.JOSEError ? error.code : 'it cannot be read';
      throw new AuthError('credentials-invalid', `the token is not valid (${why})`, { cause: error });
    }
    const claims = v.safeParse(claimsSchema, payload);
    if (!claims.success) throw new AuthError('credentials-invalid', 'the claims of the token are not ones of Zenith');
    const { role, tenant, timeline } = claims.output;
    return { role, tenant, timeline };
  }

  /** Lets somebody do something, or throws. @throws AuthError */
  async admit(token: string | undefined, action: Action, target: Target): Promise<Identity> {
    const identity = await this.identify(token);
    requireAllowed(identity, action, target);
    return identity;
  }

  #key(id: string | undefined): NonNullable<ReturnType<typeof readPublicKey>> {
    const key = id === undefined ? undefined : readPublicKey(this.#keys, id);
    if (key === undefined)
      throw new AuthError('credentials-invalid', 'the token was signed with a key that is not known here');
    return key;
  }
}
