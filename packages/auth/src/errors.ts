import { ZenithError } from '@zenith/base';

/**
 * Why somebody is not let in, or cannot let anybody in.
 *
 * - `credentials-missing` no token was shown where one is required
 * - `credentials-invalid` the token is not one of ours, or has expired, or its key has been removed
 * - `credentials-forbidden` the token is good, but not for this
 * - `keys-unusable` a file of keys or tokens cannot be read, or does not hold what it must
 */
export type AuthErrorCode = 'credentials-missing' | 'credentials-invalid' | 'credentials-forbidden' | 'keys-unusable';

/** Somebody is not let in. The message never holds the token. */
export class AuthError extends ZenithError<AuthErrorCode> {
  override readonly name = 'AuthError';
}

/** The HTTP status for a failure to authenticate: 401 when other credentials would do, 403 when these are good but not for this; undefined for what is none. */
export function httpStatusOf(error: unknown): 401 | 403 | undefined {
  if (!(error instanceof AuthError)) return undefined;
  return STATUSES[error.code] ?? undefined;
}

const STATUSES: Readonly<Record<AuthErrorCode, 401 | 403 | null>> = {
  'credentials-missing': 401,
  'credentials-invalid': 401,
  'credentials-forbidden': 403,
  'keys-unusable': null,
};
