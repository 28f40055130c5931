import { ZenithError } from '@zenith/base';

/**
 * Expected failures of what services have in common.
 * - `data-directory-in-use`: another process holds the data directory
 */
export type ServiceErrorCode = 'data-directory-in-use';

/** An expected failure of a service process; its code says which. */
export class ServiceError extends ZenithError<ServiceErrorCode> {
  override readonly name = 'ServiceError';
}
