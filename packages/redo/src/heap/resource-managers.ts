import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskHeapPage } from '../masks/heap.ts';
import { withoutPages } from '../rmgr/no-redo.ts';
import { resourceManager, type RecordType, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoHeapDelete } from './delete.ts';
import { redoHeapFreezePage15, redoHeapFreezePage16 } from './freeze.ts';
import { redoHeapConfirm, redoHeapInplace } from './in-place.ts';
import { XLOG_HEAP_INIT_PAGE, redoHeapInsert, redoHeapMultiInsert } from './insert.ts';
import { redoHeapLock, redoHeapLockUpdated } from './lock.ts';
import { redoHeapPrune, redoHeapVacuum } from './prune-before-17.ts';
import { redoHeapPruneFreeze } from './prune.ts';
import { redoHeapHotUpdate, redoHeapUpdate } from './update.ts';
import { redoHeapVisible } from './visible.ts';

/** PG: XLOG_HEAP_OPMASK, heapam_xlog.h. */
const XLOG_HEAP_OPMASK = 0x70;

const off = (at: number, label = 'off'): DetailField => ({ label, at, size: 2 });
const xid = (at: number, label = 'xmax'): DetailField => ({ label, at, size: 4 });
const flags = (at: number, label = 'flags'): DetailField => ({ label, at, size: 1, hex: true });

const updateDetail = fieldsDetail(
  xid(0, 'old xmax'),
  off(4, 'old off'),
  flags(6, 'old infobits'),
  flags(7),
  xid(8, 'new xmax'),
  off(12, 'new off'),
);
const lockDetail = fieldsDetail(xid(0), off(4), flags(6, 'infobits'), flags(7));

/** HEAP, the same in 15 to 18. */
export const HEAP: ResourceManager = resourceManager({
  name: 'HEAP',
  infoMask: XLOG_HEAP_OPMASK,
  initBit: XLOG_HEAP_INIT_PAGE,
  mask: maskHeapPage,
  records: {
    0x00: { name: 'INSERT', redo: redoHeapInsert, detail: fieldsDetail(off(0), flags(2)) },
    0x10: { name: 'DELETE', redo: redoHeapDelete, detail: lockDetail },
    0x20: { name: 'UPDATE', redo: redoHeapUpdate, detail: updateDetail },
    0x30: withoutPages('TRUNCATE'),
    0x40: { name: 'HOT_UPDATE', redo: redoHeapHotUpdate, detail: updateDetail },
    0x50: { name: 'CONFIRM', redo: redoHeapConfirm, detail: fieldsDetail(off(0)) },
    0x60: { name: 'LOCK', redo: redoHeapLock, detail: lockDetail },
    0x70: { name: 'INPLACE', redo: redoHeapInplace, detail: fieldsDetail(off(0)) },
  },
});

function heap2(pruning: Readonly<Record<number, RecordType>>): ResourceManager {
  return resourceManager({
    name: 'HEAP2',
    infoMask: XLOG_HEAP_OPMASK,
    initBit: XLOG_HEAP_INIT_PAGE,
    mask: maskHeapPage,
    records: {
      ...pruning,
      0x00: withoutPages('REWRITE'),
      0x40: { name: 'VISIBLE', redo: redoHeapVisible, detail: fieldsDetail(xid(0, 'conflict horizon'), flags(4)) },
      0x50: {
        name: 'MULTI_INSERT',
        redo: redoHeapMultiInsert,
        detail: fieldsDetail({ label: 'tuples', at: 2, size: 2 }, flags(0)),
      },
      0x60: { name: 'LOCK_UPDATED', redo: redoHeapLockUpdated, detail: lockDetail },
      0x70: withoutPages('NEW_CID'),
    },
  });
}

const count = (at: number, label: string): DetailField => ({ label, at, size: 2 });

/** Pruning and vacuuming up to 16, records of their own. */
const pruneAndVacuum: Readonly<Record<number, RecordType>> = {
  0x10: {
    name: 'PRUNE',
    redo: redoHeapPrune,
    detail: fieldsDetail(xid(0, 'conflict horizon'), count(4, 'redirected'), count(6, 'dead')),
  },
  0x20: { name: 'VACUUM', redo: redoHeapVacuum, detail: fieldsDetail(count(0, 'unused')) },
};

/** HEAP2 of 15: a freeze record says for each tuple how. */
export const HEAP2_15: ResourceManager = heap2({
  ...pruneAndVacuum,
  0x30: {
    name: 'FREEZE_PAGE',
    redo: redoHeapFreezePage15,
    detail: fieldsDetail(xid(0, 'cutoff'), count(4, 'tuples')),
  },
});

/** HEAP2 of 16: a freeze record has plans, each for many tuples. */
export const HEAP2_16: ResourceManager = heap2({
  ...pruneAndVacuum,
  0x30: {
    name: 'FREEZE_PAGE',
    redo: redoHeapFreezePage16,
    detail: fieldsDetail(xid(0, 'conflict horizon'), count(4, 'plans')),
  },
});

const pruneDetail = fieldsDetail(flags(1));

/** HEAP2 from 17 on: one format for pruning, vacuuming and freezing, whose code only says why it was written. */
export const HEAP2_17: ResourceManager = heap2({
  0x10: { name: 'PRUNE_ON_ACCESS', redo: redoHeapPruneFreeze, detail: pruneDetail },
  0x20: { name: 'PRUNE_VACUUM_SCAN', redo: redoHeapPruneFreeze, detail: pruneDetail },
  0x30: { name: 'PRUNE_VACUUM_CLEANUP', redo: redoHeapPruneFreeze, detail: pruneDetail },
});
