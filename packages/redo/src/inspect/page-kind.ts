import {
  BLCKSZ,
  RM_BRIN_ID,
  RM_BTREE_ID,
  RM_GENERIC_ID,
  RM_GIN_ID,
  RM_GIST_ID,
  RM_HASH_ID,
  RM_HEAP_ID,
  RM_SEQ_ID,
  RM_SPGIST_ID,
  SIZE_OF_PAGE_HEADER,
  pageSpecial,
  type Page,
} from '@zenith/pg-format';

// The special space tells access methods apart: btree 16 bytes with a vacuum cycle id of at most 0xFF7F in the last two; gist and hash 16 bytes, spgist 8 bytes, with their page id there; a
// sequence 4 or 8 bytes with its magic; gin and brin 8 bytes, and so does contrib's bloom, with its page id. A heap page has none.
// PG 15-18: nbtree.h, gist.h, hash.h, spgist_private.h, sequence.c, ginblock.h, brin_page.h, bloom.h
const GIST_PAGE_ID = 0xff81,
  HASHO_PAGE_ID = 0xff80,
  SPGIST_PAGE_ID = 0xff82,
  BLOOM_PAGE_ID = 0xff83;
const SEQ_MAGIC = 0x1717;
const BRIN_PAGETYPE_MIN = 0xf091,
  BRIN_PAGETYPE_MAX = 0xf093;

/** The resource manager that writes a page of the main fork, told by its special space. */
export function pageResourceManager(page: Page): number {
  const special = pageSpecial(page);
  const length = BLCKSZ - special;
  if (special < SIZE_OF_PAGE_HEADER || length < 4) return RM_HEAP_ID;
  const last = page.view.getUint16(BLCKSZ - 2, true);
  if (length === 16) {
    if (last === GIST_PAGE_ID) return RM_GIST_ID;
    return last === HASHO_PAGE_ID ? RM_HASH_ID : RM_BTREE_ID;
  }
  if (page.view.getUint32(special, true) === SEQ_MAGIC) return RM_SEQ_ID;
  if (last === SPGIST_PAGE_ID) return RM_SPGIST_ID;
  if (last === BLOOM_PAGE_ID) return RM_GENERIC_ID;
  return last >= BRIN_PAGETYPE_MIN && last <= BRIN_PAGETYPE_MAX ? RM_BRIN_ID : RM_GIN_ID;
}
