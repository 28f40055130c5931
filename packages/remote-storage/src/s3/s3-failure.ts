import { AssertionError, CorruptionError } from '@zenith/base';
import { RemoteStorageError } from '../errors.ts';

/** What the SDK's errors look like; it has no common class for those of the network. */
interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Codes with which a storage says that it cannot just now, whatever the HTTP status. */
const PASSING = new Set([
  'SlowDown',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'InternalError',
  'ServiceUnavailable',
  'OperationAborted',
  'ConditionalRequestConflict',
]);

/** An error of the SDK or of the network as one of this package's; those of the package itself pass through. */
export function s3Failure(error: unknown, what: string): Error {
  if (error instanceof RemoteStorageError || error instanceof CorruptionError || error instanceof AssertionError)
    return error;
  const { name = '', code = '', message = '', $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  const reason = `${what}: ${name === 'Error' || name === '' ? code : name} ${message}`.trim();
  if (status === 412 || name === 'PreconditionFailed')
    return new RemoteStorageError('already-exists', reason, { cause: error });
  if (name === 'NoSuchBucket')
    return new RemoteStorageError('refused', `${what}: the bucket does not exist: make it first`, { cause: error });
  if (name === 'CredentialsProviderError')
    return new RemoteStorageError(
      'refused',
      `${what}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or make ~/.aws/credentials`,
      { cause: error },
    );
  // A range was asked for that lies behind the end: whoever asks knows how long the object was.
  if (status === 416) return new CorruptionError('the object is shorter than it must be', { source: what });
  if (status === 404) return new RemoteStorageError('not-found', reason, { cause: error });
  if (status === undefined || status >= 500 || status === 429 || PASSING.has(name))
    return new RemoteStorageError('unavailable', reason, { cause: error });
  return new RemoteStorageError('refused', reason, { cause: error });
}
