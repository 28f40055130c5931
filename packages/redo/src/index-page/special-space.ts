import { CorruptionError } from '@zenith/base';
import { BLCKSZ, checkPagePointers, pageSpecial, type Page } from '@zenith/pg-format';

/**
 * Where the special space of an existing page of an access method begins: `size` bytes at the end of the page, the last two of which are
 * `pageId`. @throws CorruptionError for any other page
 */
export function specialSpace(page: Page, size: number, pageId: number, name: string): number {
  checkPagePointers(page);
  const special = pageSpecial(page);
  const found = page.view.getUint16(BLCKSZ - 2, true);
  if (special !== BLCKSZ - size || found !== pageId)
    throw new CorruptionError(
      `not a page of ${name}: its special space begins at ${special} and ends with 0x${found.toString(16)}`,
    );
  return special;
}
