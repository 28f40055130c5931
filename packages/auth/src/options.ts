import * as v from 'valibot';
import { Gate, type GateLog } from './gate.ts';
import { NO_TOKENS, TokenFolder, type Tokens } from './token-folder.ts';

const folder = v.pipe(v.string(), v.startsWith('/', 'expected an absolute path'), v.maxLength(4096));

/** The part of a service's configuration that switches authentication on: where the public keys are by which others are let in, and the tokens that the service shows. */
export const AuthOptionsSchema = v.strictObject({ keys: folder, tokens: folder });

/** What {@link AuthOptionsSchema} reads. */
export type AuthOptions = v.InferOutput<typeof AuthOptionsSchema>;

/** Who is let in, by a service's configuration; undefined: everybody, authentication is off. */
export function gateOf(options: AuthOptions | undefined, log: GateLog): Gate | undefined {
  return options === undefined ? undefined : new Gate(options.keys, log);
}

/** What a service shows, by its configuration. */
export function tokensOf(options: AuthOptions | undefined): Tokens {
  return options === undefined ? NO_TOKENS : new TokenFolder(options.tokens);
}
