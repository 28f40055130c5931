import type { Page, WalRecord } from '@zenith/pg-format';
import { F_FOLLOW_RIGHT, changeGistFlags, gistOpaque, setGistNsn } from './page.ts';

/**
 * The left half of a split has its sibling's downlink now, which is what the record inserted. The server does this only after it has written the
 * record, because the sequence number is the record's own LSN: an image of the page in it is older. PG: gistRedoClearFollowRight().
 */
export function clearFollowRight(record: WalRecord, page: Page): void {
  const opaque = gistOpaque(page);
  setGistNsn(page, opaque, Math.floor(record.endLsn / 0x1_0000_0000), record.endLsn % 0x1_0000_0000);
  changeGistFlags(page, opaque, 0, F_FOLLOW_RIGHT);
}
