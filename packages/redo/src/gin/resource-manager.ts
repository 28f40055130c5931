import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskGinPage } from '../masks/index-access-methods.ts';
import { resourceManager, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoGinSplit, redoGinVacuumPage } from './images.ts';
import { redoGinInsert } from './insert.ts';
import { redoGinDeleteListPages, redoGinInsertListPage, redoGinUpdateMetaPage } from './pending-list.ts';
import { redoGinCreatePostingTree, redoGinDeletePage } from './posting-tree.ts';
import { redoGinVacuumDataLeafPage } from './recompress.ts';

const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });
const u32 = (label: string, at: number): DetailField => ({ label, at, size: 4 });
const flags = (at: number): DetailField => ({ label: 'flags', at, size: 2, hex: true });

/** GIN indexes, the same in 15 to 18. */
export const GIN: ResourceManager = resourceManager({
  name: 'GIN',
  mask: maskGinPage,
  records: {
    0x10: { name: 'CREATE_PTREE', redo: redoGinCreatePostingTree, detail: fieldsDetail(u32('size', 0)) },
    0x20: { name: 'INSERT', redo: redoGinInsert, detail: fieldsDetail(flags(0)) },
    0x30: { name: 'SPLIT', redo: redoGinSplit, detail: fieldsDetail(flags(24), u32('right', 12)) },
    0x40: { name: 'VACUUM_PAGE', redo: redoGinVacuumPage },
    0x50: {
      name: 'DELETE_PAGE',
      redo: redoGinDeletePage,
      detail: fieldsDetail(u16('parent off', 0), u32('right', 4), u32('xid', 8)),
    },
    0x60: {
      name: 'UPDATE_META_PAGE',
      redo: redoGinUpdateMetaPage,
      detail: fieldsDetail(u32('head', 16), u32('tail', 20), u32('previous tail', 72), u32('tuples', 80)),
    },
    0x70: {
      name: 'INSERT_LISTPAGE',
      redo: redoGinInsertListPage,
      detail: fieldsDetail(u32('right', 0), u32('tuples', 4)),
    },
    0x80: { name: 'DELETE_LISTPAGE', redo: redoGinDeleteListPages, detail: fieldsDetail(u32('deleted', 56)) },
    0x90: { name: 'VACUUM_DATA_LEAF_PAGE', redo: redoGinVacuumDataLeafPage },
  },
});
