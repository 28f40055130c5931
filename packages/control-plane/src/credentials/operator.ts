import { mintToken, Trust, type Identity, type TlsOptions } from '@zenith/auth';
import type { AuthLayout } from '../repository/layout.ts';
import { keyError } from './signing-key.ts';

/** A token of the command is looked at when a call begins, on clocks of one machine. Unit: seconds. */
const LIFETIME_SECONDS = 300;

const ADMIN: Identity = { role: 'admin' };

/** What a command shows to services, a token for each call, which is on no disk; and how it knows them. */
export class Operator {
  readonly #layout: AuthLayout;
  readonly #isOn: boolean;
  /** How services are known; undefined where connections are plain. */
  readonly trust: Trust | undefined;

  /** @param isOn whether the repository asks for tokens @param tls where connections are encrypted */
  constructor(layout: AuthLayout, isOn: boolean, tls: TlsOptions | undefined) {
    this.#layout = layout;
    this.#isOn = isOn;
    this.trust = tls === undefined ? undefined : new Trust(tls.authorities);
  }

  /** A token, good for minutes; undefined where none is required. @param identity everything, when left out @throws ControlPlaneError `repository-invalid` when there is no key to sign it */
  async token(identity: Identity = ADMIN): Promise<string | undefined> {
    if (!this.#isOn) return undefined;
    try {
      return await mintToken(this.#layout.signingKey, identity, LIFETIME_SECONDS);
    } catch (error) {
      throw keyError(error);
    }
  }
}
