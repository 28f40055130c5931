import { CorruptionError } from '@zenith/base';
import { allocatePage, pageIsNew, restoreBlockImage, type Page, type PgMajor, type WalRecord } from '@zenith/pg-format';
import { describeBlock, describeRecord } from '../describe/describe-record.ts';
import { recordPosition } from '../errors.ts';
import { resourceManagersOf } from '../versions/resource-managers.ts';

/** The first byte in which a redone page is not what PostgreSQL's own page is, both masked. */
export interface Inconsistency {
  /** Which byte. Unit: bytes into the page. */
  readonly offset: number;
  /** What PostgreSQL has there. */
  readonly expected: number;
  /** What the redone page has there. */
  readonly actual: number;
}

/**
 * Overwrites in place what of a page that resource manager `rmid` wrote may legally differ between two servers with the same WAL: LSN,
 * checksum, hint bits, unused space and what else the access method says. A page that was never initialised (all zeroes) is left as it is.
 * False, with the page unchanged, for a resource manager without a mask. PG 15-18: bufmask.c and each access method's mask function.
 * @throws CorruptionError when the page cannot be masked
 */
export function maskPage(major: PgMajor, rmid: number, page: Page, blockNumber: number): boolean {
  const mask = resourceManagersOf(major)[rmid]?.mask;
  if (mask === undefined) return false;
  try {
    if (!pageIsNew(page)) mask(page, blockNumber);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CorruptionError(`page of block ${blockNumber} cannot be masked: ${cause.message}`, undefined, { cause });
  }
  return true;
}

/**
 * True when `record` carries an image of the block to check redo with: it was written under wal_consistency_checking and the image is not
 * one to apply.
 */
export function hasCheckImage(major: PgMajor, record: WalRecord, blockIndex: number): boolean {
  const block = record.blocks[blockIndex];
  return (
    block !== undefined &&
    blockIndex < record.blockCount &&
    block.inUse &&
    block.hasImage &&
    !block.applyImage &&
    resourceManagersOf(major)[record.rmid]?.mask !== undefined
  );
}

// Scratch of one synchronous call.
const expectedPage = allocatePage();
const actualPage = allocatePage();

/**
 * Compares a redone page with the image of it that the record itself carries, as a server under wal_consistency_checking does: both masked.
 * `redonePage` is not changed. `undefined` when they agree, or when there is nothing to compare (see {@link hasCheckImage}).
 * PG: verifyBackupPageConsistency(), xlogrecovery.c.
 * @throws CorruptionError when the image is damaged or one of the pages cannot be masked
 */
export function checkConsistency(
  major: PgMajor,
  record: WalRecord,
  blockIndex: number,
  redonePage: Page,
): Inconsistency | undefined {
  if (!hasCheckImage(major, record, blockIndex)) return undefined;
  const blockNumber = record.blocks[blockIndex]?.block ?? 0;
  restoreBlockImage(record, blockIndex, expectedPage);
  actualPage.bytes.set(redonePage.bytes);
  try {
    maskPage(major, record.rmid, expectedPage, blockNumber);
    maskPage(major, record.rmid, actualPage, blockNumber);
  } catch (cause) {
    if (!(cause instanceof CorruptionError)) throw cause;
    throw new CorruptionError(
      `${describeRecord(major, record)}, ${describeBlock(record, blockIndex)}: ${cause.message}`,
      { source: recordPosition(record) },
      { cause },
    );
  }
  return firstDifference(expectedPage, actualPage);
}

/** The first byte in which two pages differ. */
export function firstDifference(expected: Page, actual: Page): Inconsistency | undefined {
  for (let offset = 0; offset < expected.bytes.length; offset++) {
    if (expected.bytes[offset] !== actual.bytes[offset])
      return { offset, expected: expected.bytes[offset] as number, actual: actual.bytes[offset] as number };
  }
  return undefined;
}
