import { assert } from '@zenith/base';
import * as v from 'valibot';
import { ALGORITHM, claimsSchema, ISSUER, TOKEN_LENGTH_MAX } from './claims.ts';
import { AuthError } from './errors.ts';
import { readPublicKey } from './key-folder.ts';
import { requireAllowed, type Action, type Bearer, type Target } from './permissions.ts';
import { Admissions } from './admissions.ts';

/** Where a gate tells what is wrong with the keys: who is not known yet must not read paths. */
export interface GateLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Lets in who shows a token that a key of the folder has signed. */
export class Gate {
  readonly #keys: string;
  readonly #log: GateLog;
  readonly #admissions: Admissions;

  /** @param keys the folder of public keys @param nowMs the time of day */
  constructor(keys: string, log: GateLog, nowMs: () => number = Date.now) {
    this.#keys = keys;
    this.#log = log;
    this.#admissions = new Admissions(keys, nowMs);
  }

  /** Who the bearer of a token is. @throws AuthError `credentials-missing`, `credentials-invalid`, `keys-unusable` */
  async identify(token: string | undefined): Promise<Bearer> {
    if (token === undefined || token === '')
      throw new AuthError(
        'credentials-missing',
        "a token is required: 'zenith auth token' makes one (docs/security.md)",
      );
    if (token.length > TOKEN_LENGTH_MAX)
      throw new AuthError('credentials-invalid', `a token of more than ${TOKEN_LENGTH_MAX} bytes`);
    const { jwtVerify, errors } = await import('jose');
    let payload: unknown;
    let keyId: string | undefined;
    try {
      const options = { algorithms: [ALGORITHM], issuer: ISSUER };
      const verified = await jwtVerify(token, ({ kid }: { readonly kid?: string }) => this.#key(kid), options);
      payload = verified.payload;
      keyId = verified.protectedHeader.kid;
    } catch (error) {
      if (error instanceof AuthError) throw error;
      if (error instanceof errors.JWTExpired) throw new AuthError('credentials-invalid', 'the token has expired');
      // Whatever it is, it came of the bytes of somebody unknown: it costs them their connection and nobody else anything.
      const why = error instanceof errors.JOSEError ? error.code : 'it cannot be read';
      throw new AuthError('credentials-invalid', `the token is not valid (${why})`, { cause: error });
    }
    const claims = v.safeParse(claimsSchema, payload);
    if (!claims.success) throw new AuthError('credentials-invalid', 'the claims of the token are not ones of Zenith');
    const { role, tenant, timeline, exp } = claims.output;
    assert(keyId !== undefined, 'a token that was verified names its key');
    return { role, tenant, timeline, keyId, expiresAtMs: exp === undefined ? undefined : exp * 1000 };
  }

  /** Lets somebody do something, or throws. @throws AuthError */
  async admit(token: string | undefined, action: Action, target: Target): Promise<Bearer> {
    const bearer = await this.identify(token);
    requireAllowed(bearer, action, target);
    return bearer;
  }

  /** Has `end` called, once, when the token of somebody who was let in is good no more. @returns what to call when the connection is gone */
  hold(bearer: Bearer, end: (reason: AuthError) => void): () => void {
    return this.#admissions.hold(bearer, end);
  }

  #key(id: string | undefined): NonNullable<ReturnType<typeof readPublicKey>> {
    let key: ReturnType<typeof readPublicKey>;
    try {
      key = id === undefined ? undefined : readPublicKey(this.#keys, id);
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      this.#log.error({ reason: error.message }, 'a token cannot be checked');
      throw new AuthError('keys-unusable', 'tokens cannot be checked here at present; the log of the service says why');
    }
    if (key === undefined)
      throw new AuthError('credentials-invalid', 'the token was signed with a key that is not known here');
    return key;
  }
}
