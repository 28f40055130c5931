import { ZenithError } from '@zenith/base';
import { PageStatus } from './layout.ts';

/**
 * Every expected failure of a page request.
 * - `bad-request`, `no-such-timeline`, `lsn-not-available`, `no-such-block`, `page-not-rebuilt`, `shutting-down`, `unauthorized`: the server's answer, by {@link PageStatus}
 * - `invalid-address`: the text is not an address of a pageserver
 * - `connection-lost`: the pageserver cannot be reached, or went away before it answered
 * - `deadline-exceeded`: no answer in time
 * - `too-many-requests`: more requests in flight than one connection takes
 */
export type PageErrorCode =
  | 'bad-request'
  | 'no-such-timeline'
  | 'lsn-not-available'
  | 'no-such-block'
  | 'page-not-rebuilt'
  | 'shutting-down'
  | 'unauthorized'
  | 'invalid-address'
  | 'connection-lost'
  | 'deadline-exceeded'
  | 'too-many-requests';

/** An expected failure of a page request; its code says which. */
export class PageError extends ZenithError<PageErrorCode> {
  override readonly name = 'PageError';
}

/** The error a status other than ok stands for; undefined for a status this version does not know. */
export function pageErrorOf(status: number, message: string): PageError | undefined {
  const code = CODES[status];
  return code === undefined
    ? undefined
    : new PageError(code, message === '' ? `the pageserver answered '${code}'` : message);
}

const CODES: Readonly<Record<number, PageErrorCode>> = {
  [PageStatus.badRequest]: 'bad-request',
  [PageStatus.noSuchTimeline]: 'no-such-timeline',
  [PageStatus.lsnNotAvailable]: 'lsn-not-available',
  [PageStatus.noSuchBlock]: 'no-such-block',
  [PageStatus.pageNotRebuilt]: 'page-not-rebuilt',
  [PageStatus.shuttingDown]: 'shutting-down',
  [PageStatus.unauthorized]: 'unauthorized',
};
