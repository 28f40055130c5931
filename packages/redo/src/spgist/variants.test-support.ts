import type { WalRecord } from '@zenith/pg-format';
import { hasBlock } from '../rmgr/record-data.ts';

/** Which of its forms an SP-GiST record has. */
export function spgistVariants(record: WalRecord): string[] {
  const { view } = record;
  const main = record.mainDataOffset;
  const u8 = (at: number): number => view.getUint8(main + at);
  const u16 = (at: number): number => view.getUint16(main + at, true);
  const found: string[] = [];
  const note = (condition: boolean, name: string): void => {
    if (condition) found.push(name);
  };
  switch (record.info & 0xf0) {
    case 0x10:
      note(u8(0) !== 0, 'SP-GiST leaf on a new page');
      note(u8(1) !== 0, 'SP-GiST null');
      note(u16(4) === 0, 'SP-GiST leaf without a chain');
      note(u16(4) !== 0 && u16(4) !== u16(2), 'SP-GiST leaf in a chain');
      note(u16(4) !== 0 && u16(4) === u16(2), 'SP-GiST leaf in place of a dead one');
      note(hasBlock(record, 1), 'SP-GiST leaf with a new downlink');
      break;
    case 0x20:
      note(u8(2) !== 0, 'SP-GiST move to a new page');
      note(u8(2) === 0, 'SP-GiST move to an old page');
      note(u8(3) !== 0, 'SP-GiST move that replaces a dead tuple');
      note(u8(3) === 0, 'SP-GiST move of a chain');
      break;
    case 0x30:
      note(!hasBlock(record, 1), 'SP-GiST node added in place');
      note(hasBlock(record, 1) && u8(4) !== 0, 'SP-GiST node added on a new page');
      note(hasBlock(record, 1) && u8(4) === 0, 'SP-GiST node added on another page');
      note(u8(5) === 0, 'SP-GiST node added, the parent beside the old tuple');
      note(u8(5) === 1, 'SP-GiST node added, the parent beside the new tuple');
      note(hasBlock(record, 2), 'SP-GiST node added, the parent elsewhere');
      break;
    case 0x40:
      note(u8(5) !== 0, 'SP-GiST tuple split within a page');
      note(u8(5) === 0 && u8(4) !== 0, 'SP-GiST tuple split to a new page');
      note(u8(5) === 0 && u8(4) === 0, 'SP-GiST tuple split to another page');
      break;
    case 0x50:
      note(u8(0) !== 0, 'SP-GiST pick-split of the root');
      note(u8(6) !== 0, 'SP-GiST pick-split of a new page');
      note(u8(0) === 0 && u8(6) === 0, 'SP-GiST pick-split of a chain');
      note(hasBlock(record, 1) && u8(7) !== 0, 'SP-GiST pick-split to a new page');
      note(hasBlock(record, 1) && u8(7) === 0, 'SP-GiST pick-split to another page');
      note(!hasBlock(record, 1), 'SP-GiST pick-split within a page');
      note(u8(10) !== 0 && u8(0) === 0, 'SP-GiST pick-split with a new inner page');
      note(u8(12) !== 0, 'SP-GiST pick-split beside the parent');
      note(u8(11) !== 0, 'SP-GiST pick-split of nulls');
      break;
    case 0x60:
      note(u16(0) > 0, 'SP-GiST vacuum that makes tuples dead');
      note(u16(2) > 0, 'SP-GiST vacuum that makes placeholders');
      note(u16(4) > 0, 'SP-GiST vacuum that moves tuples');
      note(u16(6) > 0, 'SP-GiST vacuum that changes chains');
      break;
    case 0x80:
      note(u16(0) > 0, 'SP-GiST vacuum of redirections');
      note(u16(2) > 0, 'SP-GiST vacuum of placeholders');
      break;
    default:
  }
  return found;
}

/** All that {@link spgistVariants} must have found. */
export const ALL_SPGIST_VARIANTS = [
  'SP-GiST leaf on a new page',
  'SP-GiST null',
  'SP-GiST leaf without a chain',
  'SP-GiST leaf in a chain',
  'SP-GiST leaf in place of a dead one',
  'SP-GiST leaf with a new downlink',
  'SP-GiST move to a new page',
  'SP-GiST move to an old page',
  'SP-GiST move that replaces a dead tuple',
  'SP-GiST move of a chain',
  'SP-GiST node added in place',
  'SP-GiST node added on a new page',
  'SP-GiST node added on another page',
  'SP-GiST node added, the parent beside the old tuple',
  'SP-GiST node added, the parent elsewhere',
  'SP-GiST tuple split within a page',
  'SP-GiST tuple split to a new page',
  'SP-GiST tuple split to another page',
  'SP-GiST pick-split of the root',
  'SP-GiST pick-split of a new page',
  'SP-GiST pick-split of a chain',
  'SP-GiST pick-split to a new page',
  'SP-GiST pick-split to another page',
  'SP-GiST pick-split within a page',
  'SP-GiST pick-split with a new inner page',
  'SP-GiST pick-split beside the parent',
  'SP-GiST pick-split of nulls',
  'SP-GiST vacuum that makes tuples dead',
  'SP-GiST vacuum that makes placeholders',
  'SP-GiST vacuum that moves tuples',
  'SP-GiST vacuum that changes chains',
  'SP-GiST vacuum of redirections',
  'SP-GiST vacuum of placeholders',
];
