import { CorruptionError } from '@zenith/base';
import {
  FIRST_OFFSET_NUMBER,
  SEQ_MAGIC,
  SIZE_OF_SEQUENCE_MAGIC,
  addItem,
  initPage,
  pageSpecial,
} from '@zenith/pg-format';
import { maskPlainPage } from '../masks/plain.ts';
import { mainData } from './record-data.ts';
import { resourceManager, type RedoRoutine, type ResourceManager } from './resource-manager.ts';

// xl_seq_rec: the sequence's relation, three u32 (tablespace, database, relation), then the whole tuple.  PG 15-18: sequence.h; redo: seq_redo()
const SIZE_OF_SEQ_REC = 12;

/** PG: seq_redo(): the page is always built from nothing. */
const redoSequence: RedoRoutine = (record, _blockIndex, page) => {
  const main = mainData(record, SIZE_OF_SEQ_REC + 1);
  const length = record.mainDataLength - SIZE_OF_SEQ_REC;
  initPage(page, SIZE_OF_SEQUENCE_MAGIC);
  page.view.setUint32(pageSpecial(page), SEQ_MAGIC, true);
  if (addItem(page, record.bytes, main + SIZE_OF_SEQ_REC, length, FIRST_OFFSET_NUMBER) !== FIRST_OFFSET_NUMBER) {
    throw new CorruptionError(`a sequence's tuple of ${length} bytes does not fit its page`);
  }
  return true;
};

/** Sequences. */
export const SEQUENCE: ResourceManager = resourceManager({
  name: 'SEQUENCE',
  mask: maskPlainPage,
  records: { 0x00: { name: 'LOG', redo: redoSequence } },
});
