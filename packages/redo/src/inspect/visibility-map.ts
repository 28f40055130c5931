import {
  HEAPBLOCKS_PER_VISIBILITYMAP_PAGE,
  VISIBILITYMAP_ALL_FROZEN,
  VISIBILITYMAP_ALL_VISIBLE,
  visibilityMapByte,
  visibilityMapShift,
  type Page,
} from '@zenith/pg-format';
import type { DecodedPage } from './decoded-page.ts';
import { part } from './fields.ts';
import { runsOf } from './runs.ts';

/**
 * A page of a visibility map: which heap blocks have which bit.
 * @param block which page of the map it is; heap blocks are counted from the table's beginning
 */
export function decodeVisibilityMap(page: Page, block: number): DecodedPage {
  const first = block * HEAPBLOCKS_PER_VISIBILITYMAP_PAGE;
  const withBit = (bit: number): string => {
    const blocks: number[] = [];
    for (let heapBlock = first; heapBlock < first + HEAPBLOCKS_PER_VISIBILITYMAP_PAGE; heapBlock++)
      if ((((page.bytes[visibilityMapByte(heapBlock)] as number) >>> visibilityMapShift(heapBlock)) & bit) !== 0)
        blocks.push(heapBlock);
    return runsOf(blocks);
  };
  return {
    kind: 'visibility map',
    parts: [
      part('heap blocks', (fields) => {
        fields['all visible'] = withBit(VISIBILITYMAP_ALL_VISIBLE);
        fields['all frozen'] = withBit(VISIBILITYMAP_ALL_FROZEN);
      }),
    ],
  };
}
