import { CorruptionError } from '@zenith/base';
import {
  RM_BRIN_ID,
  RM_BTREE_ID,
  RM_GENERIC_ID,
  RM_GIN_ID,
  RM_GIST_ID,
  RM_HASH_ID,
  RM_SEQ_ID,
  RM_SPGIST_ID,
  VISIBILITYMAP_FORKNUM,
  type Page,
} from '@zenith/pg-format';
import { decodeBrin } from './brin.ts';
import { decodeBtree } from './btree.ts';
import type { DecodedPage } from './decoded-page.ts';
import { bytesOf } from './fields.ts';
import { decodeGin } from './gin.ts';
import { decodeGist } from './gist.ts';
import { decodeHash } from './hash.ts';
import { heapParts, sequenceParts } from './heap.ts';
import { headerPart, isAllZeroes, itemParts } from './page-header.ts';
import { pageResourceManager } from './page-kind.ts';
import { decodeSpgist } from './spgist.ts';
import { decodeVisibilityMap } from './visibility-map.ts';

/**
 * Shows a page in words: header, line pointers, tuple headers, index items, special space. Which access method wrote it is told by its special space.
 * Never fails, whatever the bytes are.
 * @param fork of the relation; only the visibility map's pages are told by it
 * @param block which block of the fork it is
 */
export function decodePage(page: Page, fork: number, block: number): DecodedPage {
  if (isAllZeroes(page)) return { kind: 'all zeroes', parts: [] };
  const header = headerPart(page);
  try {
    const { kind, parts } = fork === VISIBILITYMAP_FORKNUM ? decodeVisibilityMap(page, block) : decodeContent(page);
    return { kind, parts: [header, ...parts] };
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof CorruptionError)) throw error;
    return { kind: 'damaged', parts: [header, { name: 'page', fields: { damaged: error.message } }] };
  }
}

function decodeContent(page: Page): DecodedPage {
  switch (pageResourceManager(page)) {
    case RM_BTREE_ID:
      return decodeBtree(page);
    case RM_GIN_ID:
      return decodeGin(page);
    case RM_GIST_ID:
      return decodeGist(page);
    case RM_HASH_ID:
      return decodeHash(page);
    case RM_SPGIST_ID:
      return decodeSpgist(page);
    case RM_BRIN_ID:
      return decodeBrin(page);
    case RM_SEQ_ID:
      return { kind: 'sequence', parts: sequenceParts(page) };
    case RM_GENERIC_ID:
      return { kind: 'page of an extension', parts: plainItems(page) };
    default:
      return { kind: 'heap', parts: heapParts(page) };
  }
}

/** Items of which nothing is known but where they are. */
function plainItems(page: Page): DecodedPage['parts'] {
  return itemParts(page, (fields, at, length) => {
    fields['data'] = bytesOf(page.bytes, at, at + length);
  });
}
