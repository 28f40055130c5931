import { CorruptionError } from '@zenith/base';
import { BLCKSZ, checkPagePointers, copyBytes, pageLower, pageUpper } from '@zenith/pg-format';
import { maskPlainPage } from '../masks/plain.ts';
import { blockData, blockDataLength } from './record-data.ts';
import { resourceManager, type RedoRoutine, type ResourceManager } from './resource-manager.ts';

// Data of each block: fragments, offset u16 @0, length u16 @2, then length bytes for that place of the page.
// PG 15-18: generic_xlog.c; redo: generic_redo(), applyPageRedo()
const FRAGMENT_HEADER = 4;

/** PG: generic_redo() for one block. */
const redoGeneric: RedoRoutine = (record, blockIndex, page) => {
  let at = blockData(record, blockIndex, 0);
  const end = at + blockDataLength(record, blockIndex);
  while (at < end) {
    if (at + FRAGMENT_HEADER > end) throw new CorruptionError(`${end - at} bytes left for a fragment`);
    const offset = record.view.getUint16(at, true);
    const length = record.view.getUint16(at + 2, true);
    at += FRAGMENT_HEADER;
    if (at + length > end || offset + length > BLCKSZ)
      throw new CorruptionError(`fragment of ${length} bytes for byte ${offset} of the page, ${end - at} bytes left`);
    copyBytes(record.bytes, at, page.bytes, offset, length);
    at += length;
  }
  // What the server has in the hole is not in the record, it zeroes it.
  checkPagePointers(page);
  page.bytes.fill(0, pageLower(page), pageUpper(page));
  return true;
};

/** Page deltas that extensions write without a resource manager of their own. */
export const GENERIC: ResourceManager = resourceManager({
  name: 'GENERIC',
  mask: maskPlainPage,
  records: { 0x00: { name: 'GENERIC', redo: redoGeneric } },
});
