import * as v from 'valibot';
import { Gate, type GateLog } from './gate.ts';
import { ServerCertificate } from './transport/server-certificate.ts';
import { Trust } from './transport/trust.ts';
import { NO_TOKENS, TokenFolder, type Tokens } from './token-folder.ts';

const path = v.pipe(v.string(), v.startsWith('/', 'expected an absolute path'), v.maxLength(4096));

/** The part of a service's configuration that switches authentication on: where the public keys are by which others are let in, and the tokens that the service shows. */
export const AuthOptionsSchema = v.strictObject({ keys: path, tokens: path });

/** What {@link AuthOptionsSchema} reads. */
export type AuthOptions = v.InferOutput<typeof AuthOptionsSchema>;

/** The part of a service's configuration that has all its ports speak TLS: its certificate and key (one file may hold both), and the authorities by which it knows other services. */
export const TlsOptionsSchema = v.strictObject({ certificate: path, key: path, authorities: path });

/** What {@link TlsOptionsSchema} reads. */
export type TlsOptions = v.InferOutput<typeof TlsOptionsSchema>;

/** Who is let in, by a service's configuration; undefined: everybody, authentication is off. */
export function gateOf(options: AuthOptions | undefined, log: GateLog): Gate | undefined {
  return options === undefined ? undefined : new Gate(options.keys, log);
}

/** What a service shows to others and how it knows them, by its configuration. */
export function tokensOf({
  auth,
  tls,
}: {
  readonly auth?: AuthOptions | undefined;
  readonly tls?: TlsOptions | undefined;
}): Tokens {
  const trust = tls === undefined ? undefined : new Trust(tls.authorities);
  return auth === undefined ? { ...NO_TOKENS, trust } : new TokenFolder(auth.tokens, trust);
}

/** What a service shows to those who connect, by its configuration; undefined: its connections are plain. @throws AuthError `keys-unusable` */
export function certificateOf(options: TlsOptions | undefined, log: GateLog): ServerCertificate | undefined {
  return options === undefined ? undefined : new ServerCertificate(options, log);
}
