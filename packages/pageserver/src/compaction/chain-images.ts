import { requireLsn } from '../timeline/require-lsn.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import type { ChainImages } from './chain-writer.ts';

/** How a timeline's own history gives the pages for images between its values. */
export function chainImages(state: TimelineState): ChainImages {
  const { shared } = state;
  return {
    redo: shared.redo,
    pgMajor: state.pgMajor,
    objects: state.objects,
    afterValues: shared.options.imageAfterValues,
    afterBytes: shared.options.imageAfterBytes,
    readPage(object, block, lsn, page) {
      requireLsn(state, lsn);
      shared.reader.readPage(state, object, block, lsn, page);
    },
  };
}
