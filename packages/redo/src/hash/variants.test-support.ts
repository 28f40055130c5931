import type { WalRecord } from '@zenith/pg-format';
import { hasBlock } from '../rmgr/record-data.ts';

/** Which of its forms a hash record has. */
export function hashVariants(record: WalRecord): string[] {
  const { view } = record;
  const main = record.mainDataOffset;
  const found: string[] = [];
  const note = (condition: boolean, name: string): void => {
    if (condition) found.push(name);
  };
  switch (record.info & 0xf0) {
    case 0x30:
      note(view.getUint8(main + 2) === 0, 'hash overflow page at the end');
      note(view.getUint8(main + 2) !== 0, 'hash overflow page that was free');
      break;
    case 0x40:
      note((view.getUint8(main + 8) & 1) !== 0, 'hash split that changes the masks');
      note((view.getUint8(main + 8) & 2) !== 0, 'hash split that begins a splitpoint');
      break;
    case 0x70:
      note(view.getUint8(main + 2) !== 0, 'hash move to the first page');
      note(view.getUint8(main + 2) === 0, 'hash move to an overflow page');
      break;
    case 0x80: {
      const moves = view.getUint16(main + 8, true) > 0;
      const isPrev = view.getUint8(main + 11) !== 0;
      note(moves, 'hash squeeze that moves tuples');
      note(!moves && hasBlock(record, 1), 'hash squeeze that moves none');
      note(isPrev, 'hash squeeze to the page before');
      note(!isPrev, 'hash squeeze to another page');
      note(hasBlock(record, 0), 'hash squeeze within a chain');
      note(hasBlock(record, 6), 'hash squeeze that changes the first free page');
      break;
    }
    case 0x90:
      note(view.getUint8(main) !== 0, 'hash delete that clears the mark of dead tuples');
      note(hasBlock(record, 0), 'hash delete on an overflow page');
      break;
    default:
  }
  return found;
}

/** All that {@link hashVariants} must have found. */
export const ALL_HASH_VARIANTS = [
  'hash overflow page at the end',
  'hash overflow page that was free',
  'hash split that changes the masks',
  'hash split that begins a splitpoint',
  'hash move to the first page',
  'hash move to an overflow page',
  'hash squeeze that moves tuples',
  'hash squeeze that moves none',
  'hash squeeze to the page before',
  'hash squeeze to another page',
  'hash squeeze within a chain',
  'hash squeeze that changes the first free page',
  'hash delete that clears the mark of dead tuples',
  'hash delete on an overflow page',
];
