import { RM_HEAP2_ID, type PgMajor, type WalRecord } from '@zenith/pg-format';
import { blockDataLength } from '../rmgr/record-data.ts';
import { resourceManagersOf } from '../versions/resource-managers.ts';
import { recordType } from '../rmgr/resource-manager.ts';

const COMMON = [
  'prune with cleanup lock',
  'vacuum without cleanup lock',
  'freeze plans',
  'redirections',
  'dead items',
  'unused items',
];
const BEFORE_17 = ['HEAP2/PRUNE', 'HEAP2/VACUUM', 'HEAP2/FREEZE_PAGE'];
const FROM_17 = ['HEAP2/PRUNE_ON_ACCESS', 'HEAP2/PRUNE_VACUUM_SCAN', 'HEAP2/PRUNE_VACUUM_CLEANUP'];

/** What a version has for pruning, vacuuming and freezing: its kinds of records, and the forms that {@link pruningVariants} tells. */
export const PRUNING: Readonly<
  Record<PgMajor, { readonly records: readonly string[]; readonly forms: readonly string[] }>
> = {
  15: { records: BEFORE_17, forms: COMMON },
  16: { records: BEFORE_17, forms: [...COMMON, 'several freeze plans', 'freeze plan of several tuples'] },
  17: { records: FROM_17, forms: [...COMMON, 'freeze plans and items'] },
  18: { records: FROM_17, forms: [...COMMON, 'freeze plans and items'] },
};

/** Which of the forms a record of RM_HEAP2_ID has that differ between versions. */
export function pruningVariants(major: PgMajor, record: WalRecord): string[] {
  const rmgr = resourceManagersOf(major)[RM_HEAP2_ID];
  const name = rmgr === undefined ? undefined : recordType(rmgr, record)?.name;
  const at = record.mainDataOffset;
  const { view } = record;
  const found: string[] = [];
  const note = (condition: boolean, form: string): void => {
    if (condition) found.push(form);
  };
  if (name === 'PRUNE') {
    const redirected = view.getUint16(at + 4, true);
    const dead = view.getUint16(at + 6, true);
    found.push('prune with cleanup lock');
    note(redirected > 0, 'redirections');
    note(dead > 0, 'dead items');
    note(blockDataLength(record, 0) > redirected * 4 + dead * 2, 'unused items');
  } else if (name === 'VACUUM') {
    found.push('vacuum without cleanup lock');
  } else if (name === 'FREEZE_PAGE') {
    const plans = view.getUint16(at + 4, true);
    found.push('freeze plans');
    if (major === 16) {
      note(plans > 1, 'several freeze plans');
      note(blockDataLength(record, 0) > plans * 14, 'freeze plan of several tuples');
    }
  } else if (name?.startsWith('PRUNE_') === true) {
    const flags = view.getUint8(at + 1);
    note((flags & 0x04) !== 0, 'prune with cleanup lock');
    note((flags & 0x04) === 0 && (flags & 0x80) !== 0, 'vacuum without cleanup lock');
    note((flags & 0x10) !== 0, 'freeze plans');
    note((flags & 0x10) !== 0 && (flags & 0xe0) !== 0, 'freeze plans and items');
    note((flags & 0x20) !== 0, 'redirections');
    note((flags & 0x40) !== 0, 'dead items');
    note((flags & 0x80) !== 0, 'unused items');
  }
  return found;
}
