import type { Page } from '@zenith/pg-format';
import { F_FOLLOW_RIGHT, gistFlags, gistOpaque } from './page.ts';

/**
 * What PostgreSQL's mask of a GiST page hides although redo sets it: the sequence number and the flag that a sibling's downlink is missing. They are right
 * in the server's files only, as it changes them after it has written the record. Gives the first difference in words.
 */
export function hiddenGistDifference(expected: Page, actual: Page): string | undefined {
  const opaque = gistOpaque(expected);
  const nsn = (page: Page): bigint => page.view.getBigUint64(opaque, true);
  if (nsn(expected) !== nsn(actual))
    return `NSN is ${nsn(actual).toString(16)}, expected ${nsn(expected).toString(16)}`;
  if (((gistFlags(expected, opaque) ^ gistFlags(actual, opaque)) & F_FOLLOW_RIGHT) === 0) return undefined;
  return `follow-right flag is ${gistFlags(actual, opaque) & F_FOLLOW_RIGHT}`;
}
