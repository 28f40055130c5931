import { INVALID_LSN } from '@zenith/base';
import {
  BLCKSZ,
  RM_XLOG_ID,
  SIZE_OF_PAGE_HEADER,
  VISIBILITYMAP_FORKNUM,
  WalRecord,
  XLOG_FPI,
  XLR_RMGR_INFO_MASK,
  allocatePage,
  decodeRecord,
  initPage,
  setPageChecksum,
  type Page,
  type PgMajor,
} from '@zenith/pg-format';
import { firstDifference, type Inconsistency } from '@zenith/redo';
import { ValueKind, isBase } from '../key-space/value.ts';
import type { HistoryValue } from '../timeline/page-history.ts';
import { applyValue } from '../timeline/reconstruct.ts';
import type { PageRedo } from '../timeline/redo.ts';

const BLOCK_ID_SIZE = 1;

/** What two pages of a visibility map do not agree on. */
export interface MapPageComparison {
  /** What is wrong, when something is. */
  readonly difference?: Inconsistency;
  /** True when the timeline lacks bits that PostgreSQL has, for the one reason that there is. */
  readonly isBehind: boolean;
}

/**
 * Compares a page of a visibility map with the timeline's: LSN, header and bits are equal, only the checksum does not count. A page that was never initialised is as one that was and that no record has changed (PG: vm_readbuf(),
 * visibilitymap.c, does that in its buffer). Bits may be missing where PostgreSQL's own WAL does not have them, see {@link mapPageAtMost}. Both pages are changed.
 * @param most gives the timeline's page with every bit that may be missing; asked for only when some are
 */
export function compareMapPage(expected: Page, actual: Page, most: () => Page | undefined): MapPageComparison {
  for (const page of [expected, actual]) {
    if (page.bytes.every((byte) => byte === 0)) initPage(page);
    setPageChecksum(page, 0);
  }
  const difference = firstDifference(expected, actual);
  if (difference === undefined) return { isBehind: false };
  const bits = difference.offset < SIZE_OF_PAGE_HEADER ? undefined : most()?.bytes;
  if (bits === undefined) return { difference, isBehind: false };
  for (let offset = SIZE_OF_PAGE_HEADER; offset < BLCKSZ; offset++) {
    const theirs = expected.bytes[offset] as number;
    const ours = actual.bytes[offset] as number;
    if ((ours & ~theirs) !== 0 || (theirs & ~(bits[offset] as number)) !== 0)
      return { difference: { offset, expected: theirs, actual: ours }, isBehind: false };
  }
  return { isBehind: true };
}

/**
 * A map page with all bits that the server may have beyond those of the timeline, rebuilt from what the timeline has of it, the newest first; undefined when there are none. CREATE DATABASE with the strategy `wal_log` logs the pages that it copies as if all
 * were of the standard layout: what lies between pd_lower and pd_upper is left out, and in a map that is every bit (PG: RelationCopyStorageUsingBuffer(), bufmgr.c, log_newpage_buffer()). Whoever follows the WAL, a standby as well, has none of
 * them: a loss of time at the next VACUUM and index-only scan, not of truth. Bits of blocks that a later record sets or clears are known again.
 */
export function mapPageAtMost(major: PgMajor, redo: PageRedo, newestFirst: readonly HistoryValue[]): Page | undefined {
  const base = newestFirst.findIndex(({ kind }) => isBase(kind));
  const image = newestFirst[base];
  if (image?.kind !== ValueKind.initRecord) return undefined;
  const record = new WalRecord();
  decodeRecord(major, image.bytes, viewOf(image.bytes), BLOCK_ID_SIZE, INVALID_LSN, image.lsn, record);
  const block = record.blocks[image.bytes[0] as number];
  const isLogged = record.rmid === RM_XLOG_ID && (record.info & XLR_RMGR_INFO_MASK) === XLOG_FPI;
  if (!isLogged || block?.fork !== VISIBILITYMAP_FORKNUM || !block.applyImage || block.holeLength === 0)
    return undefined;
  const page = allocatePage();
  const apply = ({ kind, bytes, lsn }: HistoryValue): void =>
    applyValue(redo, major, kind, bytes, viewOf(bytes), 0, bytes.length, lsn, page);
  apply(image);
  page.bytes.fill(0xff, block.holeOffset, block.holeOffset + block.holeLength);
  for (const value of newestFirst.slice(0, base).toReversed()) apply(value);
  return page;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
