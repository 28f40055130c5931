import { CorruptionError } from '@zenith/base';
import {
  MULTIXACT_MEMBERS_PER_PAGE,
  MULTIXACT_OFFSETS_PER_PAGE,
  multixactFlagsByte,
  multixactMemberByte,
  multixactOffsetByte,
} from '@zenith/pg-format';
import { OPERATION_HEADER, OperationKind, entryCount, type ApplyBody } from './operation.ts';

/** PG: MaxMultiXactStatus, multixact.h. */
const MAX_STATUS = 5;

/**
 * Where the members of the next multixact begin when one has `memberCount` members at `offset`. Offset 0 means "not set" and is skipped.
 * PG 17.8+, 18.2+: RecordNewMultiXact(), which stores this as the offset of the next multixact along with the new one's own.
 */
export function nextMemberOffset(offset: number, memberCount: number): number {
  const next = (offset + memberCount) >>> 0;
  return next === 0 ? 1 : next;
}

/**
 * Writes an operation without entries that sets multixacts' member offsets; {@link appendMultixactOffset} adds them. The creation of a
 * multixact sets its own and the next one's (nextMultiXactId()), which may lie on the next page.
 * @returns the offset behind it
 */
export function startMultixactOffsets(out: DataView, offset: number): number {
  out.setUint8(offset, OperationKind.multixactOffsets);
  return offset + OPERATION_HEADER;
}

/**
 * Adds a multixact and where its members begin (6 bytes).
 * @returns the offset behind it
 */
export function appendMultixactOffset(out: DataView, offset: number, multi: number, memberOffset: number): number {
  out.setUint16(offset, multi % MULTIXACT_OFFSETS_PER_PAGE, true);
  out.setUint32(offset + 2, memberOffset, true);
  return offset + 6;
}

/** PG: RecordNewMultiXact(), the offsets part. */
export const applyMultixactOffsets: ApplyBody = (view, offset, end, page) => {
  const count = entryCount(offset, end, 6);
  for (let i = 0; i < count; i++) {
    const index = view.getUint16(offset + i * 6, true);
    if (index >= MULTIXACT_OFFSETS_PER_PAGE) throw new CorruptionError(`multixact ${index} of an offsets page`);
    page.view.setUint32(multixactOffsetByte(index), view.getUint32(offset + i * 6 + 2, true), true);
  }
};

/**
 * Writes an operation without members for the members page that holds `memberOffset`; {@link appendMultixactMember} adds them, one after the
 * other from that offset on, and never beyond the page.
 * @returns the offset behind it
 */
export function startMultixactMembers(out: DataView, offset: number, memberOffset: number): number {
  out.setUint8(offset, OperationKind.multixactMembers);
  out.setUint16(offset + OPERATION_HEADER, memberOffset % MULTIXACT_MEMBERS_PER_PAGE, true);
  return offset + OPERATION_HEADER + 2;
}

/**
 * Adds the next member (5 bytes): its transaction and MultiXactStatus.
 * @returns the offset behind it
 */
export function appendMultixactMember(out: DataView, offset: number, xid: number, status: number): number {
  out.setUint32(offset, xid, true);
  out.setUint8(offset + 4, status);
  return offset + 5;
}

/** PG: RecordNewMultiXact(), the members part. */
export const applyMultixactMembers: ApplyBody = (view, offset, end, page) => {
  const count = entryCount(offset + 2, end, 5);
  const first = view.getUint16(offset, true);
  if (first + count > MULTIXACT_MEMBERS_PER_PAGE)
    throw new CorruptionError(`${count} multixact members from ${first} on leave their page`);
  for (let i = 0; i < count; i++) {
    const xid = view.getUint32(offset + 2 + i * 5, true);
    const status = view.getUint8(offset + 2 + i * 5 + 4);
    if (status > MAX_STATUS) throw new CorruptionError(`multixact member status ${status}`);
    page.view.setUint8(multixactFlagsByte(first + i), status);
    page.view.setUint32(multixactMemberByte(first + i), xid, true);
  }
};
