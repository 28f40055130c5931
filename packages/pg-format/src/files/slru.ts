import { BLCKSZ } from '../page/page.ts';
import { FIRST_MULTI_XACT_ID, FIRST_NORMAL_TRANSACTION_ID, multiPrecedes, xidPrecedes } from '../transaction-id.ts';

// An SLRU is an array of small entries on pages of 8 KiB, 32 pages to a file named by its segment number in at least 4 hexadecimal digits. Pages
// have neither header nor LSN. Entries are numbered on a circle of 2^32.
//   pg_xact               2 bits a transaction, 32768 a page: byte xid/4, shift 2·(xid mod 4)
//   pg_multixact/offsets  u32 a multixact, 2048 a page: where its members begin
//   pg_multixact/members  groups of 4 members, 20 bytes: 4 flag bytes, 4 xids; 409 groups (1636 members) a page, 12 bytes unused
//   pg_commit_ts          10 bytes a transaction, 819 a page: i64 microseconds since 2000, u16 replication origin
// PG 15-18: clog.c, multixact.c, commit_ts.c, slru.c. (17 and 18 could use 15-digit names; these four do not.)

/** Pages in a segment file. PG: slru.h. */
export const SLRU_PAGES_PER_SEGMENT = 32;

/** Transactions a commit log page covers. PG: clog.c. */
export const CLOG_XACTS_PER_PAGE = BLCKSZ * 4;
/** Transaction status: running, or crashed. PG: clog.h. */
export const TRANSACTION_STATUS_IN_PROGRESS = 0;
/** Transaction status. PG: clog.h. */
export const TRANSACTION_STATUS_COMMITTED = 1;
/** Transaction status. PG: clog.h. */
export const TRANSACTION_STATUS_ABORTED = 2;
/** Transaction status: a subtransaction committed, its top one not yet. PG: clog.h. */
export const TRANSACTION_STATUS_SUB_COMMITTED = 3;

/** Multixacts an offsets page covers. PG: multixact.c. */
export const MULTIXACT_OFFSETS_PER_PAGE = BLCKSZ / 4;
/** Members in a group. PG: multixact.c. */
export const MULTIXACT_MEMBERS_PER_MEMBERGROUP = 4;
/** Size of a group: 4 flag bytes, 4 xids. Unit: bytes. PG: multixact.c. */
export const MULTIXACT_MEMBERGROUP_SIZE = 20;
/** Groups on a members page. PG: multixact.c. */
export const MULTIXACT_MEMBERGROUPS_PER_PAGE = Math.floor(BLCKSZ / MULTIXACT_MEMBERGROUP_SIZE);
/** Members a members page covers. PG: multixact.c. */
export const MULTIXACT_MEMBERS_PER_PAGE = MULTIXACT_MEMBERGROUPS_PER_PAGE * MULTIXACT_MEMBERS_PER_MEMBERGROUP;

/** Size of a commit timestamp entry. Unit: bytes. PG: SizeOfCommitTimestampEntry. */
export const SIZE_OF_COMMIT_TS_ENTRY = 10;
/** Transactions a commit timestamp page covers. PG: commit_ts.c. */
export const COMMIT_TS_XACTS_PER_PAGE = Math.floor(BLCKSZ / SIZE_OF_COMMIT_TS_ENTRY);

/** What is common to the SLRUs of a cluster. */
export interface SlruGeometry {
  /** Directory below the data directory. */
  readonly directory: string;
  /** Entries on a page. */
  readonly entriesPerPage: number;
  /** True when page `a` is before page `b` and wholly so: what truncation asks. PG: the SLRU's PagePrecedes(). */
  readonly pagePrecedes: (a: number, b: number) => boolean;
}

function pageOfXidPrecedes(a: number, b: number, perPage: number): boolean {
  const first = (a * perPage + FIRST_NORMAL_TRANSACTION_ID + 1) >>> 0;
  const second = (b * perPage + FIRST_NORMAL_TRANSACTION_ID + 1) >>> 0;
  return xidPrecedes(first, second) && xidPrecedes(first, (second + perPage - 1) >>> 0);
}

function pageOfMultiPrecedes(a: number, b: number, perPage: number, shift: number): boolean {
  const first = (a * perPage + shift) >>> 0;
  const second = (b * perPage + shift) >>> 0;
  return multiPrecedes(first, second) && multiPrecedes(first, (second + perPage - 1) >>> 0);
}

/** Commit log. PG: CLOGPagePrecedes(), clog.c. */
export const CLOG: SlruGeometry = {
  directory: 'pg_xact',
  entriesPerPage: CLOG_XACTS_PER_PAGE,
  pagePrecedes: (a, b) => pageOfXidPrecedes(a, b, CLOG_XACTS_PER_PAGE),
};

/** Offsets of multixacts. PG: MultiXactOffsetPagePrecedes(), multixact.c. */
export const MULTIXACT_OFFSETS: SlruGeometry = {
  directory: 'pg_multixact/offsets',
  entriesPerPage: MULTIXACT_OFFSETS_PER_PAGE,
  pagePrecedes: (a, b) => pageOfMultiPrecedes(a, b, MULTIXACT_OFFSETS_PER_PAGE, FIRST_MULTI_XACT_ID + 1),
};

/** Members of multixacts. PG: MultiXactMemberPagePrecedes(), multixact.c. */
export const MULTIXACT_MEMBERS: SlruGeometry = {
  directory: 'pg_multixact/members',
  entriesPerPage: MULTIXACT_MEMBERS_PER_PAGE,
  pagePrecedes: (a, b) => pageOfMultiPrecedes(a, b, MULTIXACT_MEMBERS_PER_PAGE, 0),
};

/** Commit timestamps. PG: CommitTsPagePrecedes(), commit_ts.c. */
export const COMMIT_TS: SlruGeometry = {
  directory: 'pg_commit_ts',
  entriesPerPage: COMMIT_TS_XACTS_PER_PAGE,
  pagePrecedes: (a, b) => pageOfXidPrecedes(a, b, COMMIT_TS_XACTS_PER_PAGE),
};

/** Page that holds `entry` (an xid, multixact or member offset). */
export function slruPage(slru: SlruGeometry, entry: number): number {
  return Math.floor(entry / slru.entriesPerPage);
}

/** Segment that holds `page`. */
export function slruSegment(page: number): number {
  return Math.floor(page / SLRU_PAGES_PER_SEGMENT);
}

/** Number of `page` within its segment. */
export function slruPageInSegment(page: number): number {
  return page % SLRU_PAGES_PER_SEGMENT;
}

/** Highest segment an SLRU can have before its entries wrap around; the last one may have fewer pages. */
export function slruSegmentMax(slru: SlruGeometry): number {
  return slruSegment(slruPage(slru, 0xffffffff));
}

/** True when truncation at `cutoffPage` removes the whole segment. PG: SlruMayDeleteSegment(), slru.c. */
export function slruSegmentIsTruncated(slru: SlruGeometry, segment: number, cutoffPage: number): boolean {
  const first = segment * SLRU_PAGES_PER_SEGMENT;
  return slru.pagePrecedes(first, cutoffPage) && slru.pagePrecedes(first + SLRU_PAGES_PER_SEGMENT - 1, cutoffPage);
}

/** Name of a segment file: at least four hexadecimal digits. PG: SlruFileName(). */
export function slruFileName(segment: number): string {
  return segment.toString(16).toUpperCase().padStart(4, '0');
}

/** The segment number in a file name; undefined when it is not one. */
export function parseSlruFileName(name: string): number | undefined {
  return /^(?:[0-9A-F]{4}|[1-9A-F][0-9A-F]{4,5})$/.test(name) ? Number.parseInt(name, 16) : undefined;
}

/** Byte of a commit log page that holds the status of `xid`. PG: TransactionIdToByte(). */
export function clogByte(xid: number): number {
  return (xid % CLOG_XACTS_PER_PAGE) >>> 2;
}

/** How far to the left the two bits of `xid` lie in that byte. PG: TransactionIdToBIndex(). */
export function clogShift(xid: number): number {
  return (xid & 3) * 2;
}

/** Byte of an offsets page where the u32 of `multi` begins. PG: MultiXactIdToOffsetEntry(). */
export function multixactOffsetByte(multi: number): number {
  return (multi % MULTIXACT_OFFSETS_PER_PAGE) * 4;
}

/** Byte of a members page where the group of member `offset` begins with its flags. PG: MXOffsetToFlagsOffset(). */
export function multixactGroupByte(offset: number): number {
  return (
    (Math.floor(offset / MULTIXACT_MEMBERS_PER_MEMBERGROUP) % MULTIXACT_MEMBERGROUPS_PER_PAGE) *
    MULTIXACT_MEMBERGROUP_SIZE
  );
}

/** Byte of a members page with the flags of member `offset`. PG: MXOffsetToFlagsOffset(), MXOffsetToFlagsBitShift(). */
export function multixactFlagsByte(offset: number): number {
  return multixactGroupByte(offset) + (offset % MULTIXACT_MEMBERS_PER_MEMBERGROUP);
}

/** Byte of a members page where the xid of member `offset` begins. PG: MXOffsetToMemberOffset(). */
export function multixactMemberByte(offset: number): number {
  return multixactGroupByte(offset) + 4 + (offset % MULTIXACT_MEMBERS_PER_MEMBERGROUP) * 4;
}

/** Byte of a commit timestamp page where the entry of `xid` begins. PG: TransactionIdToCTsEntry(). */
export function commitTsByte(xid: number): number {
  return (xid % COMMIT_TS_XACTS_PER_PAGE) * SIZE_OF_COMMIT_TS_ENTRY;
}
