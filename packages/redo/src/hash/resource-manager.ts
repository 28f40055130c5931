import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskHashPage } from '../masks/index-access-methods.ts';
import { resourceManager, type RedoRoutine, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoHashInitBitmapPage, redoHashInitMetaPage, redoHashUpdateMetaPage } from './create.ts';
import { redoHashDelete, redoHashVacuumOnePage } from './delete.ts';
import { redoHashAddOverflowPage, redoHashInsert } from './insert.ts';
import {
  redoHashSplitAllocatePage,
  redoHashSplitAllocatePageOnImage,
  redoHashSplitCleanup,
  redoHashSplitComplete,
  redoHashSplitPage,
} from './split.ts';
import { redoHashMovePageContents, redoHashSqueezePage15, redoHashSqueezePage17 } from './squeeze.ts';

const u8 = (label: string, at: number): DetailField => ({ label, at, size: 1 });
const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });
const u32 = (label: string, at: number): DetailField => ({ label, at, size: 4 });
const flag = (label: string, at: number): DetailField => ({ label, at, size: 2, hex: true });

function hash(redoSqueezePage: RedoRoutine): ResourceManager {
  return resourceManager({
    name: 'HASH',
    mask: maskHashPage,
    records: {
      0x00: {
        name: 'INIT_META_PAGE',
        redo: redoHashInitMetaPage,
        detail: fieldsDetail(u32('procid', 8), u16('ffactor', 12)),
      },
      0x10: { name: 'INIT_BITMAP_PAGE', redo: redoHashInitBitmapPage, detail: fieldsDetail(u16('bmsize', 0)) },
      0x20: { name: 'INSERT', redo: redoHashInsert, detail: fieldsDetail(u16('off', 0)) },
      0x30: {
        name: 'ADD_OVFL_PAGE',
        redo: redoHashAddOverflowPage,
        detail: fieldsDetail(u16('bmsize', 0), u8('found', 2)),
      },
      0x40: {
        name: 'SPLIT_ALLOCATE_PAGE',
        redo: redoHashSplitAllocatePage,
        redoOnImage: redoHashSplitAllocatePageOnImage,
        detail: fieldsDetail(u32('bucket', 0), flag('old', 4), flag('new', 6), u8('flags', 8)),
      },
      0x50: { name: 'SPLIT_PAGE', redo: redoHashSplitPage },
      0x60: {
        name: 'SPLIT_COMPLETE',
        redo: redoHashSplitComplete,
        redoOnImage: redoHashSplitComplete,
        detail: fieldsDetail(flag('old', 0), flag('new', 2)),
      },
      0x70: { name: 'MOVE_PAGE_CONTENTS', redo: redoHashMovePageContents, detail: fieldsDetail(u16('tuples', 0)) },
      0x80: {
        name: 'SQUEEZE_PAGE',
        redo: redoSqueezePage,
        detail: fieldsDetail(u32('prev', 0), u32('next', 4), u16('tuples', 8)),
      },
      0x90: { name: 'DELETE', redo: redoHashDelete, detail: fieldsDetail(u8('clear', 0), u8('primary', 1)) },
      0xa0: { name: 'SPLIT_CLEANUP', redo: redoHashSplitCleanup },
      0xb0: { name: 'UPDATE_META_PAGE', redo: redoHashUpdateMetaPage },
      0xc0: {
        name: 'VACUUM_ONE_PAGE',
        redo: redoHashVacuumOnePage,
        detail: fieldsDetail(u32('horizon', 0), u16('tuples', 4)),
      },
    },
  });
}

/** HASH in 15 and 16. */
export const HASH_15: ResourceManager = hash(redoHashSqueezePage15);

/** HASH from 17 on. */
export const HASH_17: ResourceManager = hash(redoHashSqueezePage17);
