import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskSpgistPage } from '../masks/index-access-methods.ts';
import { resourceManager, type RedoRoutine, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoSpgistAddNode, redoSpgistSplitTuple } from './inner.ts';
import { redoSpgistAddLeaf, redoSpgistMoveLeafs } from './leaf.ts';
import { redoSpgistPickSplit } from './pick-split.ts';
import {
  redoSpgistVacuumLeaf,
  redoSpgistVacuumRedirect15,
  redoSpgistVacuumRedirect16,
  redoSpgistVacuumRoot,
} from './vacuum.ts';

const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });

function spgist(redoVacuumRedirect: RedoRoutine): ResourceManager {
  return resourceManager({
    name: 'SPGIST',
    mask: maskSpgistPage,
    records: {
      0x10: {
        name: 'ADD_LEAF',
        redo: redoSpgistAddLeaf,
        detail: fieldsDetail(u16('off', 2), u16('head', 4), u16('parent', 6), u16('node', 8)),
      },
      0x20: {
        name: 'MOVE_LEAFS',
        redo: redoSpgistMoveLeafs,
        detail: fieldsDetail(u16('moves', 0), u16('parent', 6), u16('node', 8)),
      },
      0x30: {
        name: 'ADD_NODE',
        redo: redoSpgistAddNode,
        detail: fieldsDetail(u16('off', 0), u16('new', 2), u16('parent', 6), u16('node', 8)),
      },
      0x40: {
        name: 'SPLIT_TUPLE',
        redo: redoSpgistSplitTuple,
        detail: fieldsDetail(u16('prefix', 0), u16('postfix', 2)),
      },
      0x50: {
        name: 'PICKSPLIT',
        redo: redoSpgistPickSplit,
        detail: fieldsDetail(u16('delete', 2), u16('insert', 4), u16('inner', 8)),
      },
      0x60: {
        name: 'VACUUM_LEAF',
        redo: redoSpgistVacuumLeaf,
        detail: fieldsDetail(u16('dead', 0), u16('placeholders', 2), u16('moves', 4), u16('chains', 6)),
      },
      0x70: { name: 'VACUUM_ROOT', redo: redoSpgistVacuumRoot, detail: fieldsDetail(u16('delete', 0)) },
      0x80: {
        name: 'VACUUM_REDIRECT',
        redo: redoVacuumRedirect,
        detail: fieldsDetail(u16('redirections', 0), u16('placeholders from', 2)),
      },
    },
  });
}

/** SPGIST in 15. */
export const SPGIST_15: ResourceManager = spgist(redoSpgistVacuumRedirect15);

/** SPGIST from 16 on, the same in 16 to 18. */
export const SPGIST_16: ResourceManager = spgist(redoSpgistVacuumRedirect16);
