import { CorruptionError } from '@zenith/base';
import {
  pageIsNew,
  restoreBlockImage,
  setPageLsn,
  type BlockReference,
  type Page,
  type PgMajor,
  type WalRecord,
} from '@zenith/pg-format';
import { describeBlock, describeRecord } from './describe/describe-record.ts';
import { RedoError, recordPosition } from './errors.ts';
import { recordType, type RecordType } from './rmgr/resource-manager.ts';
import { resourceManagersOf } from './versions/resource-managers.ts';

/**
 * Applies `record` to the one block that its reference `blockIndex` names, in place, as PostgreSQL's redo does; no other block is needed.
 * `page` holds that block as it was before the record; its content does not matter when the record carries an image to apply or
 * initialises the page. The page's LSN becomes `record.endLsn`. Differs: the LSN that is on the page is not asked, the caller applies each
 * record once and in order. The record may be whole or trimmed to this block (trimRecord()); it is only borrowed.
 *
 * An exception leaves the page's content undefined.
 * @throws CorruptionError when the record, or the page it meets, is not what it must be; names record and block
 * @throws RedoError `unsupported-record` when its resource manager, or that kind of record of it, is unknown
 */
export function redoBlock(major: PgMajor, record: WalRecord, blockIndex: number, page: Page): void {
  const block = record.blocks[blockIndex];
  try {
    if (block === undefined || blockIndex >= record.blockCount || !block.inUse)
      throw new CorruptionError('the record does not refer to that block');
    if (block.hasImage && block.applyImage) {
      restoreBlockImage(record, blockIndex, page);
      knownType(major, record)?.redoOnImage?.(record, blockIndex, page);
      if (!pageIsNew(page)) setPageLsn(page, record.endLsn);
      return;
    }
    const type = supportedType(major, record, block);
    if (block.willInit) page.bytes.fill(0);
    if (type.redo(record, blockIndex, page)) setPageLsn(page, record.endLsn);
  } catch (cause) {
    if (!(cause instanceof RangeError) && !(cause instanceof CorruptionError)) throw cause;
    throw new CorruptionError(
      `${describeRecord(major, record)}, ${describeBlock(record, blockIndex)}: ${cause.message}`,
      { source: recordPosition(record) },
      { cause },
    );
  }
}

/**
 * True when this build has redo for that kind of record. Of one that it does not know, an extension's with a resource manager of its own, only blocks that come with an image to
 * apply can be rebuilt.
 */
export function knowsRecord(major: PgMajor, record: WalRecord): boolean {
  return knownType(major, record) !== undefined;
}

function knownType(major: PgMajor, record: WalRecord): RecordType | undefined {
  const rmgr = resourceManagersOf(major)[record.rmid];
  return rmgr === undefined ? undefined : recordType(rmgr, record);
}

function supportedType(major: PgMajor, record: WalRecord, block: BlockReference): RecordType {
  const type = knownType(major, record);
  if (type !== undefined) return type;
  throw new RedoError(
    'unsupported-record',
    `block ${block.block} of relation ${block.spc}/${block.db}/${block.rel} fork ${block.fork} cannot be rebuilt: no redo for ${describeRecord(major, record)} (${recordPosition(record)})`,
  );
}
