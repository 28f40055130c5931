import { GIST_ROOT_BLKNO } from './page.ts';
import type { WalRecord } from '@zenith/pg-format';
import { hasBlock } from '../rmgr/record-data.ts';

/** Which of its forms a GiST record has. */
export function gistVariants(record: WalRecord): string[] {
  const { view } = record;
  const main = record.mainDataOffset;
  const found: string[] = [];
  const note = (condition: boolean, name: string): void => {
    if (condition) found.push(name);
  };
  switch (record.info & 0xf0) {
    case 0x00: {
      const deleted = view.getUint16(main, true);
      const inserted = view.getUint16(main + 2, true);
      note(deleted === 0 && inserted === 1, 'GiST insert');
      note(deleted === 1 && inserted === 1, 'GiST replacement in place');
      note(deleted === 1 && inserted > 1, 'GiST replacement by several');
      note(deleted > 2 && inserted === 0, 'GiST delete of many');
      note(hasBlock(record, 1), 'GiST update that completes a split');
      break;
    }
    case 0x30: {
      const splitsRoot = record.blocks.at(1)?.block === GIST_ROOT_BLKNO;
      note(splitsRoot, 'GiST split of the root');
      note(!splitsRoot && view.getUint8(main + 16) !== 0, 'GiST split of a leaf');
      note(!splitsRoot && view.getUint8(main + 16) === 0, 'GiST split of an inner page');
      note(hasBlock(record, 0), 'GiST split that completes a split');
      break;
    }
    default:
  }
  return found;
}

/** All that {@link gistVariants} must have found. */
export const ALL_GIST_VARIANTS = [
  'GiST insert',
  'GiST replacement in place',
  'GiST replacement by several',
  'GiST delete of many',
  'GiST update that completes a split',
  'GiST split of the root',
  'GiST split of a leaf',
  'GiST split of an inner page',
  'GiST split that completes a split',
];
