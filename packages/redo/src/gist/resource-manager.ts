import { fieldsDetail, type DetailField } from '../describe/main-data.ts';
import { maskGistPage } from '../masks/index-access-methods.ts';
import { withoutPages } from '../rmgr/no-redo.ts';
import { resourceManager, type RedoRoutine, type ResourceManager } from '../rmgr/resource-manager.ts';
import { redoGistPageDelete } from './delete-page.ts';
import { redoGistPageSplit, redoGistPageSplitOnImage } from './split.ts';
import { redoGistDelete15, redoGistDelete16, redoGistPageUpdate, redoGistPageUpdateOnImage } from './update.ts';

const u16 = (label: string, at: number): DetailField => ({ label, at, size: 2 });
const u32 = (label: string, at: number): DetailField => ({ label, at, size: 4 });

function gist(redoDelete: RedoRoutine): ResourceManager {
  return resourceManager({
    name: 'GIST',
    mask: maskGistPage,
    records: {
      0x00: {
        name: 'PAGE_UPDATE',
        redo: redoGistPageUpdate,
        redoOnImage: redoGistPageUpdateOnImage,
        detail: fieldsDetail(u16('delete', 0), u16('insert', 2)),
      },
      0x10: { name: 'DELETE', redo: redoDelete, detail: fieldsDetail(u32('horizon', 0), u16('delete', 4)) },
      0x20: withoutPages('PAGE_REUSE'),
      0x30: {
        name: 'PAGE_SPLIT',
        redo: redoGistPageSplit,
        redoOnImage: redoGistPageSplitOnImage,
        detail: fieldsDetail(u32('rightlink', 0), u16('pages', 18)),
      },
      0x60: { name: 'PAGE_DELETE', redo: redoGistPageDelete, detail: fieldsDetail(u16('downlink', 8)) },
      0x70: withoutPages('ASSIGN_LSN'),
    },
  });
}

/** GIST in 15. */
export const GIST_15: ResourceManager = gist(redoGistDelete15);

/** GIST from 16 on, the same in 16 to 18. */
export const GIST_16: ResourceManager = gist(redoGistDelete16);
