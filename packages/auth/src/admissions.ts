import { AuthError } from './errors.ts';
import { readPublicKey } from './key-folder.ts';
import type { Bearer } from './permissions.ts';

/** How long a connection outlives its credentials at most, give or take a busy event loop. Unit: milliseconds. */
const LOOK_INTERVAL_MS = 1_000;

interface Held {
  readonly bearer: Bearer;
  readonly end: (reason: AuthError) => void;
}

/**
 * The connections that go on after their token was looked at. They end when the key that signed it is removed, or when it expires: whoever takes a key away takes it away from those who are in, too.
 * One timer looks at the few keys in use, whatever the number of connections; there is none while there are none.
 */
export class Admissions {
  readonly #keys: string;
  readonly #nowMs: () => number;
  readonly #held = new Set<Held>();
  #timer: NodeJS.Timeout | undefined;

  /** @param keys the folder of public keys @param nowMs the time of day, which tokens expire by */
  constructor(keys: string, nowMs: () => number) {
    this.#keys = keys;
    this.#nowMs = nowMs;
  }

  /** Has `end` called, once, when the bearer's token is good no more. @returns what to call when the connection is gone; harmless to repeat */
  hold(bearer: Bearer, end: (reason: AuthError) => void): () => void {
    const held = { bearer, end };
    this.#held.add(held);
    this.#timer ??= setInterval(() => this.look(), LOOK_INTERVAL_MS).unref();
    return () => this.#release(held);
  }

  /** Ends what is to be ended; the timer does nothing else. */
  look(): void {
    const known = new Map<string, boolean>();
    for (const held of this.#held) {
      const { keyId, expiresAtMs } = held.bearer;
      let isKnown = known.get(keyId);
      if (isKnown === undefined) known.set(keyId, (isKnown = this.#isKnown(keyId)));
      const hasExpired = expiresAtMs !== undefined && expiresAtMs <= this.#nowMs();
      if (isKnown && !hasExpired) continue;
      this.#release(held);
      const reason = isKnown ? 'the token has expired' : 'the key that signed the token has been removed';
      held.end(new AuthError('credentials-invalid', reason));
    }
  }

  #release(held: Held): void {
    this.#held.delete(held);
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A key that is there, but cannot be read just now, is no reason to cut off everybody who is in. */
  #isKnown(keyId: string): boolean {
    try {
      return readPublicKey(this.#keys, keyId) !== undefined;
    } catch (error) {
      if (error instanceof AuthError) return true;
      throw error;
    }
  }
}
