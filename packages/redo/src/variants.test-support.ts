import {
  RM_BTREE_ID,
  RM_GIN_ID,
  RM_GIST_ID,
  RM_HASH_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_SPGIST_ID,
  type PgMajor,
  type WalRecord,
} from '@zenith/pg-format';
import { ALL_GIN_VARIANTS, ginVariants } from './gin/variants.test-support.ts';
import { ALL_GIST_VARIANTS, gistVariants } from './gist/variants.test-support.ts';
import { ALL_HASH_VARIANTS, hashVariants } from './hash/variants.test-support.ts';
import { PRUNING, pruningVariants } from './heap/pruning-variants.test-support.ts';
import { hasBlock } from './rmgr/record-data.ts';
import { ALL_SPGIST_VARIANTS, spgistVariants } from './spgist/variants.test-support.ts';

/** Which of the forms that one kind of record can take it has: what the workload must have made the server write. */
export function variants(major: PgMajor, record: WalRecord): string[] {
  const at = record.mainDataOffset;
  const { view } = record;
  const code = (record.info & (record.rmid === RM_BTREE_ID ? 0xf0 : 0x70)) >>> 4;
  const found: string[] = [];
  const note = (condition: boolean, name: string): void => {
    if (condition) found.push(name);
  };
  if (record.rmid === RM_HEAP_ID) {
    const flags =
      code === 0 ? view.getUint8(at + 2) : code === 7 || code === 5 || code === 3 ? 0 : view.getUint8(at + 7);
    note(code === 0 && (flags & 0x01) !== 0, 'insert clears all-visible');
    note(code === 0 && (flags & 0x04) !== 0, 'speculative insert');
    note(code === 1 && (flags & 0x01) !== 0, 'delete clears all-visible');
    note(code === 1 && (flags & 0x08) !== 0, 'delete of a speculative insertion');
    note(code === 1 && (flags & 0x10) !== 0, 'delete that moves to another partition');
    note(code === 2 && record.blockCount === 2, 'update across pages');
    note(code === 2 && record.blockCount === 1, 'update within a page');
    note((code === 2 || code === 4) && (flags & 0x20) !== 0, 'update with prefix');
    note((code === 2 || code === 4) && (flags & 0x40) !== 0, 'update with suffix');
    note((code === 2 || code === 4) && (flags & 0x01) !== 0, 'update clears all-visible of the old page');
    note(code === 2 && (flags & 0x02) !== 0, 'update clears all-visible of the new page');
    note(code === 6 && (flags & 0x01) !== 0, 'lock clears all-frozen');
    note(code === 6 && (view.getUint8(at + 6) & 0x01) !== 0, 'lock with a multixact');
  }
  if (record.rmid === RM_HEAP2_ID) {
    const flags = view.getUint8(at);
    found.push(...pruningVariants(major, record));
    note(code === 5 && (flags & 0x20) !== 0, 'multi-insert of frozen rows');
    note(code === 5 && (flags & 0x01) !== 0, 'multi-insert clears all-visible');
    note(code === 4 && (view.getUint8(at + 4) & 3) === 3, 'visible and frozen');
  }
  if (record.rmid === RM_BTREE_ID) {
    const split = code === 3 || code === 4;
    note(split && view.getUint32(at, true) > 0, 'split of an inner page');
    note(split && hasBlock(record, 2), 'split with a right sibling');
    note(split && view.getUint16(at + 8, true) !== 0, 'split of a posting list along with the page');
    note(code === 7 && view.getUint16(at + 6, true) > 0, 'delete that updates posting lists');
    note(code === 7 && view.getUint16(at + 4, true) > 2, 'delete of many');
    note(code === 12 && view.getUint16(at + 2, true) > 0, 'vacuum that updates posting lists');
    note(code === 8 && hasBlock(record, 3), 'unlink of an inner page');
    note(code === 10 && view.getUint32(at + 4, true) === 0, 'new root that is a leaf');
  }
  if (record.rmid === RM_GIN_ID) found.push(...ginVariants(record));
  if (record.rmid === RM_GIST_ID) found.push(...gistVariants(record));
  if (record.rmid === RM_SPGIST_ID) found.push(...spgistVariants(record));
  if (record.rmid === RM_HASH_ID) found.push(...hashVariants(record));
  return found;
}

/** All that {@link variants} can find of that version. */
export function allVariants(major: PgMajor): readonly string[] {
  return [...COMMON_VARIANTS, ...PRUNING[major].forms];
}

const COMMON_VARIANTS = [
  ...ALL_GIN_VARIANTS,
  ...ALL_GIST_VARIANTS,
  ...ALL_SPGIST_VARIANTS,
  ...ALL_HASH_VARIANTS,
  'insert clears all-visible',
  'speculative insert',
  'delete clears all-visible',
  'delete of a speculative insertion',
  'delete that moves to another partition',
  'update across pages',
  'update within a page',
  'update with prefix',
  'update with suffix',
  'update clears all-visible of the old page',
  'update clears all-visible of the new page',
  'lock clears all-frozen',
  'lock with a multixact',
  'multi-insert of frozen rows',
  'multi-insert clears all-visible',
  'visible and frozen',
  'split of an inner page',
  'split with a right sibling',
  'split of a posting list along with the page',
  'delete that updates posting lists',
  'delete of many',
  'vacuum that updates posting lists',
  'unlink of an inner page',
  'new root that is a leaf',
];
