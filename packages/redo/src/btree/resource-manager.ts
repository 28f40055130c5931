import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskBtreePage } from '../masks/btree.ts';
import { withoutPages } from '../rmgr/no-redo.ts';
import { resourceManager, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoBtreeDedup } from './dedup.ts';
import { redoBtreeDelete, redoBtreeVacuum } from './delete.ts';
import { redoBtreeInsertLeaf, redoBtreeInsertMeta, redoBtreeInsertPost, redoBtreeInsertUpper } from './insert.ts';
import { redoBtreeMetaCleanup } from './meta-page.ts';
import { redoBtreeNewRoot } from './root.ts';
import { redoBtreeSplitLeft, redoBtreeSplitRight } from './split.ts';
import { redoBtreeMarkPageHalfDead, redoBtreeUnlinkPage, redoBtreeUnlinkPageMeta } from './unlink.ts';

const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });
const u32 = (label: string, at: number): DetailField => ({ label, at, size: 4 });

const insertDetail = fieldsDetail(u16('off', 0));
const splitDetail = fieldsDetail(u32('level', 0), u16('firstright', 4), u16('newitem', 6), u16('posting', 8));
const unlinkDetail = fieldsDetail(u32('left', 0), u32('right', 4), u32('level', 8));

/** BTREE, the same in 15 to 18. */
export const BTREE: ResourceManager = resourceManager({
  name: 'BTREE',
  mask: maskBtreePage,
  records: {
    0x00: { name: 'INSERT_LEAF', redo: redoBtreeInsertLeaf, detail: insertDetail },
    0x10: { name: 'INSERT_UPPER', redo: redoBtreeInsertUpper, detail: insertDetail },
    0x20: { name: 'INSERT_META', redo: redoBtreeInsertMeta, detail: insertDetail },
    0x30: { name: 'SPLIT_L', redo: redoBtreeSplitLeft, detail: splitDetail },
    0x40: { name: 'SPLIT_R', redo: redoBtreeSplitRight, detail: splitDetail },
    0x50: { name: 'INSERT_POST', redo: redoBtreeInsertPost, detail: insertDetail },
    0x60: { name: 'DEDUP', redo: redoBtreeDedup, detail: fieldsDetail(u16('intervals', 0)) },
    0x70: { name: 'DELETE', redo: redoBtreeDelete, detail: fieldsDetail(u16('deleted', 4), u16('updated', 6)) },
    0x80: { name: 'UNLINK_PAGE', redo: redoBtreeUnlinkPage, detail: unlinkDetail },
    0x90: { name: 'UNLINK_PAGE_META', redo: redoBtreeUnlinkPageMeta, detail: unlinkDetail },
    0xa0: { name: 'NEWROOT', redo: redoBtreeNewRoot, detail: fieldsDetail(u32('root', 0), u32('level', 4)) },
    0xb0: {
      name: 'MARK_PAGE_HALFDEAD',
      redo: redoBtreeMarkPageHalfDead,
      detail: fieldsDetail(u16('poff', 0), u32('leaf', 4)),
    },
    0xc0: { name: 'VACUUM', redo: redoBtreeVacuum, detail: fieldsDetail(u16('deleted', 0), u16('updated', 2)) },
    0xd0: withoutPages('REUSE_PAGE'),
    0xe0: { name: 'META_CLEANUP', redo: redoBtreeMetaCleanup },
  },
});
