import {
  MULTIXACT_MEMBERS,
  MULTIXACT_MEMBERS_PER_PAGE,
  MULTIXACT_OFFSETS_PER_PAGE,
  XLR_RMGR_INFO_MASK,
  multiPrecedes,
  nextMultiXactId,
  slruPage,
  slruSegment,
  slruSegmentIsTruncated,
  xidPrecedes,
  type WalRecord,
} from '@zenith/pg-format';
import {
  appendMultixactMember,
  appendMultixactOffset,
  nextMemberOffset,
  startMultixactMembers,
  startMultixactOffsets,
} from '@zenith/redo';
import { SlruKind } from '../key-space/object.ts';
import { mainData, unknownRecord, type IngestContext } from './context.ts';
import { SLRU_GEOMETRY, pageNumberSize, readPageNumber } from './slru-geometry.ts';

const XLOG_MULTIXACT_ZERO_OFF_PAGE = 0x00;
const XLOG_MULTIXACT_ZERO_MEM_PAGE = 0x10;
const XLOG_MULTIXACT_CREATE_ID = 0x20;
const XLOG_MULTIXACT_TRUNCATE_ID = 0x30;

// xl_multixact_create: mid u32 @0, moff u32 @4, nmembers i32 @8, members (xid u32, status u32)[] @12.  PG 15-18: multixact.h
const MOFF = 4,
  NMEMBERS = 8,
  MEMBERS = 12,
  MEMBER_SIZE = 8;

// xl_multixact_truncate: oldestMultiDB u32 @0, startTruncOff u32 @4, endTruncOff u32 @8, startTruncMemb u32 @12, endTruncMemb u32 @16.  PG 15-18: multixact.h
const END_TRUNC_OFF = 8,
  START_TRUNC_MEMB = 12,
  END_TRUNC_MEMB = 16,
  TRUNCATE_SIZE = 20;

const MAX_MULTIXACT_OFFSET = 0xffff_ffff;
const MEMBER_VALUE_SIZE = 5;
const OPERATION_ROOM = 32;

/** Multixacts: new pages, new multixacts, truncation. PG: multixact_redo(), multixact.c. */
export function ingestMultixact(context: IngestContext, record: WalRecord): void {
  const size = pageNumberSize(context.format.major);
  switch (record.info & XLR_RMGR_INFO_MASK) {
    case XLOG_MULTIXACT_ZERO_OFF_PAGE:
      zeroOffsetsPage(context, record, readPageNumber(record.view, mainData(record, size), size));
      return;
    case XLOG_MULTIXACT_ZERO_MEM_PAGE:
      context.slru.zeroPage(
        SlruKind.multixactMembers,
        readPageNumber(record.view, mainData(record, size), size),
        record.endLsn,
      );
      return;
    case XLOG_MULTIXACT_CREATE_ID:
      create(context, record);
      return;
    case XLOG_MULTIXACT_TRUNCATE_ID:
      truncate(context, record);
      return;
    default:
      throw unknownRecord(record);
  }
}

/**
 * A page of offsets begins. Older minor versions logged this only after the multixact whose creation sets the page's first entry; the page is then there, holds that entry and
 * must not be zeroed again. Which order it was shows in the counter. PG: multixact_redo(), pre_initialized_offsets_page.
 */
function zeroOffsetsPage(context: IngestContext, record: WalRecord, pageNumber: number): void {
  const firstOfPage = Math.imul(pageNumber, MULTIXACT_OFFSETS_PER_PAGE) >>> 0;
  const entryIsSet = !multiPrecedes(context.counters.nextMulti, firstOfPage);
  if (entryIsSet && context.slru.hasPage(SlruKind.multixactOffsets, pageNumber)) return;
  context.slru.zeroPage(SlruKind.multixactOffsets, pageNumber, record.endLsn);
}

/** PG: RecordNewMultiXact(). */
function create(context: IngestContext, record: WalRecord): void {
  const { view } = record;
  const offset = mainData(record, MEMBERS);
  const multi = view.getUint32(offset, true);
  const memberOffset = view.getUint32(offset + MOFF, true);
  const count = view.getUint32(offset + NMEMBERS, true);
  mainData(record, MEMBERS + count * MEMBER_SIZE);
  putOffsets(context, record, multi, memberOffset, nextMultiXactId(multi), nextMemberOffset(memberOffset, count));
  putMembers(context, record, memberOffset, count, offset + MEMBERS);
  let lastXid = record.xid;
  for (let i = 0; i < count; i++) {
    const xid = view.getUint32(offset + MEMBERS + i * MEMBER_SIZE, true);
    if (xidPrecedes(lastXid, xid)) lastXid = xid;
  }
  context.counters.advanceMulti((multi + 1) >>> 0, (memberOffset + count) >>> 0);
  context.counters.advancePastXid(lastXid);
}

function putOffsets(
  context: IngestContext,
  record: WalRecord,
  multi: number,
  memberOffset: number,
  next: number,
  nextOffset: number,
): void {
  const { slru, scratch } = context;
  const page = Math.floor(multi / MULTIXACT_OFFSETS_PER_PAGE);
  const nextPage = Math.floor(next / MULTIXACT_OFFSETS_PER_PAGE);
  let end = appendMultixactOffset(scratch.view, startMultixactOffsets(scratch.view, 0), multi, memberOffset);
  if (nextPage === page) end = appendMultixactOffset(scratch.view, end, next, nextOffset);
  slru.putOperation(SlruKind.multixactOffsets, page, record.endLsn, scratch.bytes, scratch.view, end);
  if (nextPage === page) return;
  end = appendMultixactOffset(scratch.view, startMultixactOffsets(scratch.view, 0), next, nextOffset);
  slru.putOperation(SlruKind.multixactOffsets, nextPage, record.endLsn, scratch.bytes, scratch.view, end);
}

/** One operation a page of members. Offsets wrap at 2^32, in the middle of the last page. */
function putMembers(
  context: IngestContext,
  record: WalRecord,
  memberOffset: number,
  count: number,
  membersAt: number,
): void {
  const { slru, scratch } = context;
  scratch.reserve(OPERATION_ROOM + Math.min(count, MULTIXACT_MEMBERS_PER_PAGE) * MEMBER_VALUE_SIZE);
  for (let i = 0; i < count;) {
    const first = (memberOffset + i) >>> 0;
    const page = Math.floor(first / MULTIXACT_MEMBERS_PER_PAGE);
    const last = Math.min((page + 1) * MULTIXACT_MEMBERS_PER_PAGE - 1, MAX_MULTIXACT_OFFSET);
    const onPage = Math.min(count - i, last - first + 1);
    let end = startMultixactMembers(scratch.view, 0, first);
    for (const stop = i + onPage; i < stop; i++) {
      const at = membersAt + i * MEMBER_SIZE;
      end = appendMultixactMember(
        scratch.view,
        end,
        record.view.getUint32(at, true),
        record.view.getUint32(at + 4, true),
      );
    }
    slru.putOperation(SlruKind.multixactMembers, page, record.endLsn, scratch.bytes, scratch.view, end);
  }
}

/** PG: PerformMembersTruncation(), PerformOffsetsTruncation(). */
function truncate(context: IngestContext, record: WalRecord): void {
  const { view } = record;
  const offset = mainData(record, TRUNCATE_SIZE);
  const oldestMulti = view.getUint32(offset + END_TRUNC_OFF, true);
  context.counters.setOldestMulti(oldestMulti, view.getUint32(offset, true));
  const first = memberSegment(view.getUint32(offset + START_TRUNC_MEMB, true));
  const end = memberSegment(view.getUint32(offset + END_TRUNC_MEMB, true));
  context.slru.removeSegments(SlruKind.multixactMembers, (segment) =>
    first <= end ? segment >= first && segment < end : segment >= first || segment < end,
  );
  const previous = oldestMulti === 1 ? MAX_MULTIXACT_OFFSET : (oldestMulti - 1) >>> 0;
  const cutoff = Math.floor(previous / MULTIXACT_OFFSETS_PER_PAGE);
  context.slru.removeSegments(SlruKind.multixactOffsets, (segment) =>
    slruSegmentIsTruncated(SLRU_GEOMETRY[SlruKind.multixactOffsets], segment, cutoff),
  );
}

function memberSegment(memberOffset: number): number {
  return slruSegment(slruPage(MULTIXACT_MEMBERS, memberOffset));
}
