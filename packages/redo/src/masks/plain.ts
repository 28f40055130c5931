import type { Page } from '@zenith/pg-format';
import { maskLsnAndChecksum, maskUnusedSpace } from './page-parts.ts';

/** Masks a page on which every used byte is WAL-logged: of a sequence, or one written by generic records. PG: seq_mask(), generic_mask(). */
export function maskPlainPage(page: Page): void {
  maskLsnAndChecksum(page);
  maskUnusedSpace(page);
}
