import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskBrinPage } from '../masks/index-access-methods.ts';
import { resourceManager, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoBrinCreateIndex, redoBrinRevmapExtend } from './meta-page.ts';
import {
  XLOG_BRIN_INIT_PAGE,
  redoBrinDesummarize,
  redoBrinInsert,
  redoBrinSamePageUpdate,
  redoBrinUpdate,
} from './tuples.ts';

const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });
const u32 = (label: string, at: number): DetailField => ({ label, at, size: 4 });

/** BRIN indexes, the same in 15 to 18. */
export const BRIN: ResourceManager = resourceManager({
  name: 'BRIN',
  mask: maskBrinPage,
  infoMask: 0x70,
  initBit: XLOG_BRIN_INIT_PAGE,
  records: {
    0x00: { name: 'CREATE_INDEX', redo: redoBrinCreateIndex, detail: fieldsDetail(u32('range', 0), u16('version', 4)) },
    0x10: {
      name: 'INSERT',
      redo: redoBrinInsert,
      detail: fieldsDetail(u32('heap block', 0), u32('range', 4), u16('off', 8)),
    },
    0x20: {
      name: 'UPDATE',
      redo: redoBrinUpdate,
      detail: fieldsDetail(u32('heap block', 4), u32('range', 8), u16('old off', 0), u16('off', 12)),
    },
    0x30: { name: 'SAMEPAGE_UPDATE', redo: redoBrinSamePageUpdate, detail: fieldsDetail(u16('off', 0)) },
    0x40: { name: 'REVMAP_EXTEND', redo: redoBrinRevmapExtend, detail: fieldsDetail(u32('block', 0)) },
    0x50: {
      name: 'DESUMMARIZE',
      redo: redoBrinDesummarize,
      detail: fieldsDetail(u32('range', 0), u32('heap block', 4), u16('off', 8)),
    },
  },
});
