import { CorruptionError } from '@zenith/base';
import {
  INVALID_BLOCK_NUMBER,
  INVALID_OFFSET_NUMBER,
  PAI_OVERWRITE,
  addItem,
  pageIndexTupleDeleteNoCompact,
  pageIndexTupleOverwrite,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength, blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { BRIN_PAGETYPE_REGULAR, checkBrinPage, initBrinPage } from './page.ts';
import { setRevmapEntry } from './revmap.ts';

// xl_brin_insert: heapBlk u32 @0, pagesPerRange u32 @4, offnum u16 @8.  Block 0: the page, the tuple as data. Block 1: the page of the map.
// xl_brin_update: oldOffnum u16 @0, an xl_brin_insert @4.  Blocks 0 and 1 as of an insert. Block 2: the page that the old tuple leaves.
// xl_brin_samepage_update: offnum u16 @0.  Block 0: the page, the tuple as data.
// xl_brin_desummarize: pagesPerRange u32 @0, heapBlk u32 @4, regOffset u16 @8.  Block 0: the page of the map. Block 1: the page that the tuple leaves.
// PG 15-18: brin_xlog.h; redo: brin_xlog_insert(), brin_xlog_update(), brin_xlog_samepage_update(), brin_xlog_desummarize_page() in brin_xlog.c
const SIZE_OF_BRIN_INSERT = 10;
const INSERT_OF_UPDATE = 4;
const SIZE_OF_BRIN_SAMEPAGE_UPDATE = 2;
const SIZE_OF_BRIN_DESUMMARIZE = 10;
const PAGE = 0;
const REVMAP = 1;
const OLD_PAGE = 2;

/** Bit of xl_info: the tuple is the first on a new page. PG: brin_xlog.h. */
export const XLOG_BRIN_INIT_PAGE = 0x80;

/** PG: brin_xlog_insert(). */
export const redoBrinInsert: RedoRoutine = (record, blockIndex, page) => {
  insertOrMap(record, mainData(record, SIZE_OF_BRIN_INSERT), blockIndex, page);
  return true;
};

/** PG: brin_xlog_update(): the tuple moves to another page. */
export const redoBrinUpdate: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, INSERT_OF_UPDATE + SIZE_OF_BRIN_INSERT);
  if (blockIndex === OLD_PAGE) deleteTuple(page, record.view.getUint16(main, true));
  else insertOrMap(record, main + INSERT_OF_UPDATE, blockIndex, page);
  return true;
};

/** PG: brin_xlog_samepage_update(). */
export const redoBrinSamePageUpdate: RedoRoutine = (record, blockIndex, page) => {
  const offsetNumber = record.view.getUint16(mainData(record, SIZE_OF_BRIN_SAMEPAGE_UPDATE), true);
  if (blockIndex !== PAGE) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  checkBrinPage(page, BRIN_PAGETYPE_REGULAR);
  const length = blockDataLength(record, PAGE);
  if (!pageIndexTupleOverwrite(page, offsetNumber, record.bytes, blockData(record, PAGE, 1), length))
    throw new CorruptionError(`no room for ${length} bytes in place of tuple ${offsetNumber}`);
  return true;
};

/** PG: brin_xlog_desummarize_page(). */
export const redoBrinDesummarize: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_BRIN_DESUMMARIZE);
  const { view } = record;
  switch (blockIndex) {
    case 0:
      setRevmapEntry(
        page,
        view.getUint32(main, true),
        view.getUint32(main + 4, true),
        INVALID_BLOCK_NUMBER,
        INVALID_OFFSET_NUMBER,
      );
      return true;
    case 1:
      deleteTuple(page, view.getUint16(main + 8, true));
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** What an insert, of which the data begin at `main`, does to its page or to the page of the map. PG: brin_xlog_insert_update(). */
function insertOrMap(record: WalRecord, main: number, blockIndex: number, page: Page): void {
  const { view } = record;
  const offsetNumber = view.getUint16(main + 8, true);
  if (offsetNumber === INVALID_OFFSET_NUMBER) throw new CorruptionError('a tuple at offset number 0');
  if (blockIndex === PAGE) {
    if ((record.info & XLOG_BRIN_INIT_PAGE) !== 0) initBrinPage(page, BRIN_PAGETYPE_REGULAR);
    else checkBrinPage(page, BRIN_PAGETYPE_REGULAR);
    const length = blockDataLength(record, PAGE);
    if (addItem(page, record.bytes, blockData(record, PAGE, 1), length, offsetNumber, PAI_OVERWRITE) !== offsetNumber)
      throw new CorruptionError(`a tuple of ${length} bytes cannot be put at offset number ${offsetNumber}`);
  } else if (blockIndex === REVMAP) {
    const pagesPerRange = view.getUint32(main + 4, true);
    setRevmapEntry(page, pagesPerRange, view.getUint32(main, true), blockNumber(record, PAGE), offsetNumber);
  } else {
    throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
}

/** Other tuples keep their offset numbers: the map knows them by these. */
function deleteTuple(page: Page, offsetNumber: number): void {
  checkBrinPage(page, BRIN_PAGETYPE_REGULAR);
  pageIndexTupleDeleteNoCompact(page, offsetNumber);
}
