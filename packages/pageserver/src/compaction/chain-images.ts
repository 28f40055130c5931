import { requireLsn } from '../timeline/require-lsn.ts';
import type { ChainImages } from './chain-writer.ts';
import type { CompactionSource } from './compaction-source.ts';

/** How a timeline's own history gives the pages for images between its values. */
export function chainImages({ view, reader, redo, options }: CompactionSource): ChainImages {
  return {
    redo,
    pgMajor: view.pgMajor,
    objects: view.objects,
    afterValues: options.imageAfterValues,
    afterBytes: options.imageAfterBytes,
    readPage(object, block, lsn, page) {
      requireLsn(view, lsn);
      reader.readPage(view, object, block, lsn, page);
    },
  };
}
