import {
  RM_HEAP2_ID,
  RM_HEAP_ID,
  VISIBILITYMAP_ALL_FROZEN,
  VISIBILITYMAP_VALID_BITS,
  visibilityMapBlock,
  type WalRecord,
} from '@zenith/pg-format';
import { corruptRecord } from '../errors.ts';
import { appendVisibilityMapClear, startVisibilityMapClear } from './visibility-map.ts';

// Heap records say by a flag that they made a page lose its all-visible or all-frozen state; redo then clears the bits in the visibility
// map, whose block the record does not register.  PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const XLOG_HEAP_OPMASK = 0x70;

/** Most clears one record can imply: an update has an old and a new page. */
export const MAX_IMPLIED_CLEARS = 2;

/** Which visibility map bits a record implies to be cleared: a scratch object, filled in place. */
export class VisibilityMapClears {
  /** How many entries count, 0 to {@link MAX_IMPLIED_CLEARS}. */
  count = 0;
  /** Heap block numbers, of the relation that {@link blockIndex} refers to. Distinct. */
  readonly heapBlocks: number[] = [0, 0];
  /** Which bits to clear: VISIBILITYMAP_VALID_BITS or VISIBILITYMAP_ALL_FROZEN. */
  readonly flags: number[] = [0, 0];
  /** The record's block reference that names the relation: the visibility map is its fork 2. */
  readonly blockIndex = 0;

  /** Forgets all entries. */
  clear(): void {
    this.count = 0;
  }

  /** Adds an entry; one for a heap block that is there already is merged into it. */
  add(heapBlock: number, flags: number): void {
    for (let i = 0; i < this.count; i++) {
      if (this.heapBlocks[i] === heapBlock) {
        this.flags[i] = (this.flags[i] as number) | flags;
        return;
      }
    }
    this.heapBlocks[this.count] = heapBlock;
    this.flags[this.count] = flags;
    this.count++;
  }
}

/** One flag of a kind of heap record: where it is and what it means. */
interface ClearRule {
  /** Offset of the flag byte in the main data. */
  readonly flagsAt: number;
  readonly flag: number;
  readonly bits: number;
  /** Block reference with the heap block, or block 0 when the record has no such block (an update within one page). */
  readonly block: number;
}

const ON_INSERT: readonly ClearRule[] = [{ flagsAt: 2, flag: 0x01, bits: VISIBILITYMAP_VALID_BITS, block: 0 }]; // XLH_INSERT_ALL_VISIBLE_CLEARED
const ON_DELETE: readonly ClearRule[] = [{ flagsAt: 7, flag: 0x01, bits: VISIBILITYMAP_VALID_BITS, block: 0 }]; // XLH_DELETE_ALL_VISIBLE_CLEARED
const ON_LOCK: readonly ClearRule[] = [{ flagsAt: 7, flag: 0x01, bits: VISIBILITYMAP_ALL_FROZEN, block: 0 }]; // XLH_LOCK_ALL_FROZEN_CLEARED
const ON_MULTI_INSERT: readonly ClearRule[] = [{ flagsAt: 0, flag: 0x01, bits: VISIBILITYMAP_VALID_BITS, block: 0 }]; // XLH_INSERT_ALL_VISIBLE_CLEARED
const ON_UPDATE: readonly ClearRule[] = [
  { flagsAt: 7, flag: 0x01, bits: VISIBILITYMAP_VALID_BITS, block: 1 }, // XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED
  { flagsAt: 7, flag: 0x02, bits: VISIBILITYMAP_VALID_BITS, block: 0 }, // XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED
];

/** Rules of HEAP records by info code >> 4: insert, delete, update, truncate, hot update, confirm, lock, inplace. */
const HEAP_RULES: readonly (readonly ClearRule[])[] = [ON_INSERT, ON_DELETE, ON_UPDATE, [], ON_UPDATE, [], ON_LOCK, []];
/** Rules of HEAP2 records by info code >> 4: only multi-insert (5) and lock of an updated version (6) have any. */
const HEAP2_RULES: readonly (readonly ClearRule[])[] = [[], [], [], [], [], ON_MULTI_INSERT, ON_LOCK, []];

/**
 * Finds which visibility map bits `record` implies to be cleared, whether or not its pages are restored from images. They hold for every
 * supported major version. A map page that does not exist needs no clearing.
 * @throws CorruptionError when the record lacks what its kind must have
 */
export function impliedVisibilityMapClears(record: WalRecord, into: VisibilityMapClears): void {
  into.clear();
  if (record.rmid !== RM_HEAP_ID && record.rmid !== RM_HEAP2_ID) return;
  const rules = (record.rmid === RM_HEAP_ID ? HEAP_RULES : HEAP2_RULES)[
    (record.info & XLOG_HEAP_OPMASK) >>> 4
  ] as readonly ClearRule[];
  for (const rule of rules) {
    if (record.mainDataLength <= rule.flagsAt)
      throw corruptRecord(
        record,
        `heap record with main data of ${record.mainDataLength} bytes, too short for its flags`,
      );
    if (((record.bytes[record.mainDataOffset + rule.flagsAt] as number) & rule.flag) === 0) continue;
    let block = record.blocks[rule.block];
    if (block === undefined || rule.block >= record.blockCount || !block.inUse) block = record.blocks[0];
    if (block === undefined || record.blockCount === 0 || !block.inUse)
      throw corruptRecord(record, 'heap record that refers to no block');
    into.add(block.block, rule.bits);
  }
}

/**
 * Writes the operation for block `mapBlock` of the visibility map: all of `clears` whose bits are on it, of which there must be one.
 * @returns the offset behind it
 */
export function encodeVisibilityMapClears(
  out: DataView,
  offset: number,
  clears: VisibilityMapClears,
  mapBlock: number,
): number {
  let end = startVisibilityMapClear(out, offset);
  for (let i = 0; i < clears.count; i++) {
    const heapBlock = clears.heapBlocks[i] as number;
    if (visibilityMapBlock(heapBlock) === mapBlock)
      end = appendVisibilityMapClear(out, end, heapBlock, clears.flags[i] as number);
  }
  return end;
}
