import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthError } from './errors.ts';
import type { Trust } from './transport/trust.ts';

/** Where a client has the token that it shows, and how it knows whom it shows it to. */
export interface Tokens {
  /** How servers are known; undefined: connections are plain. */
  readonly trust: Trust | undefined;
  /** The token for what is about `timeline`, or about no timeline; undefined when there is none. @throws AuthError `keys-unusable` */
  token(timeline?: string): string | undefined;
}

/** Shows no token and knows no servers: both are off. */
export const NO_TOKENS: Tokens = { trust: undefined, token: () => undefined };

/** Name of the file of the token that is shown wherever no other is: a service's own. */
export const SERVICE_TOKEN_FILE = 'service.jwt';

/** Name of the file of the token for one timeline. */
export function timelineTokenFile(timeline: string): string {
  return `${timeline}.jwt`;
}

/** Tokens in files of a folder, read for each connection: after a rotation the next connection shows the new one. */
export class TokenFolder implements Tokens {
  readonly trust: Trust | undefined;
  readonly #folder: string;

  /** @param folder holds {@link SERVICE_TOKEN_FILE}, or a file for each timeline */
  constructor(folder: string, trust?: Trust) {
    this.#folder = folder;
    this.trust = trust;
  }

  token(timeline?: string): string | undefined {
    return (
      (timeline === undefined ? undefined : this.#read(timelineTokenFile(timeline))) ?? this.#read(SERVICE_TOKEN_FILE)
    );
  }

  #read(name: string): string | undefined {
    const path = join(this.#folder, name);
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new AuthError('keys-unusable', `the token ${path} cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}
