import type { WalRecord } from '@zenith/pg-format';
import { hasBlock } from '../rmgr/record-data.ts';

const ACTIONS = ['', 'deletes', 'inserts', 'replaces', 'adds items to'];

/** Which of its forms a GIN record has. */
export function ginVariants(record: WalRecord): string[] {
  const { view } = record;
  const main = record.mainDataOffset;
  const block = record.blocks[0];
  switch (record.info & 0xf0) {
    case 0x20: {
      const flags = view.getUint16(main, true);
      if ((flags & 3) === 3) return actions(record);
      if ((flags & 1) !== 0) return ['GIN insert of a posting item'];
      if ((flags & 2) === 0) return ['GIN insert into an inner page of entries'];
      return [
        view.getUint8((block?.dataOffset ?? 0) + 2) === 0
          ? 'GIN insert of an entry'
          : 'GIN insert of an entry in place of another',
      ];
    }
    case 0x30: {
      const flags = view.getUint16(main + 24, true);
      const found = [`GIN split ${(flags & 1) === 0 ? 'of entries' : 'of postings'}`];
      if ((flags & 4) !== 0) found.push('GIN split of a root');
      if (hasBlock(record, 3)) found.push('GIN split of an inner page');
      return found;
    }
    case 0x40:
      return ['GIN entries vacuumed'];
    case 0x60:
      if (!hasBlock(record, 1)) return ['GIN meta page alone'];
      return [view.getInt32(main + 80, true) > 0 ? 'GIN row on the last list page' : 'GIN list page after the last'];
    case 0x70:
      return [
        view.getUint32(main, true) === 0xffffffff ? 'GIN list page that ends a row' : 'GIN list page within a row',
      ];
    case 0x80:
      return record.blockCount > 2 ? ['GIN several list pages deleted'] : [];
    case 0x90:
      return actions(record);
    default:
      return [];
  }
}

function actions(record: WalRecord): string[] {
  const { view } = record;
  const block = record.blocks[0];
  if (block === undefined || block.dataLength === 0) return [];
  let at = block.dataOffset + 2;
  const found: string[] = [];
  for (let left = view.getUint16(block.dataOffset, true); left > 0; left--) {
    const type = view.getUint8(at + 1);
    found.push(`GIN leaf ${ACTIONS[type]} a segment`);
    at += 2;
    if (type === 4) at += 2 + view.getUint16(at, true) * 6;
    else if (type !== 1) at += 8 + ((view.getUint16(at + 6, true) + 1) & ~1);
  }
  return found;
}

/** All that {@link ginVariants} must have found. */
export const ALL_GIN_VARIANTS = [
  'GIN insert of an entry',
  'GIN insert of an entry in place of another',
  'GIN insert into an inner page of entries',
  'GIN insert of a posting item',
  'GIN leaf deletes a segment',
  'GIN leaf inserts a segment',
  'GIN leaf replaces a segment',
  'GIN leaf adds items to a segment',
  'GIN split of entries',
  'GIN split of postings',
  'GIN split of a root',
  'GIN split of an inner page',
  'GIN entries vacuumed',
  'GIN meta page alone',
  'GIN row on the last list page',
  'GIN list page after the last',
  'GIN list page that ends a row',
  'GIN list page within a row',
  'GIN several list pages deleted',
];
