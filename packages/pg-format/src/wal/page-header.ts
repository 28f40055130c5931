import { readLsn, writeLsn, type Lsn, type SystemId } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import { SIZE_OF_XLOG_LONG_PHD, SIZE_OF_XLOG_SHORT_PHD, XLOG_BLCKSZ, XLP_LONG_HEADER } from './constants.ts';

// XLogPageHeaderData, 24 bytes: xlp_magic u16 @0, xlp_info u16 @2, xlp_tli u32 @4, xlp_pageaddr u64 @8, xlp_rem_len u32 @16, padding @20.
// XLogLongPageHeaderData, 40 bytes, adds: xlp_sysid u64 @24, xlp_seg_size u32 @32, xlp_xlog_blcksz u32 @36.  PG 15-18: xlog_internal.h
/** Offset of xlp_magic. */
export const XLP_MAGIC = 0;
/** Offset of xlp_info. */
export const XLP_INFO = 2;
/** Offset of xlp_tli. */
export const XLP_TLI = 4;
/** Offset of xlp_pageaddr. */
export const XLP_PAGEADDR = 8;
/** Offset of xlp_rem_len. */
export const XLP_REM_LEN = 16;
/** Offset of xlp_sysid, long headers only. */
export const XLP_SYSID = 24;
/** Offset of xlp_seg_size, long headers only. */
export const XLP_SEG_SIZE = 32;
/** Offset of xlp_xlog_blcksz, long headers only. */
export const XLP_XLOG_BLCKSZ = 36;

/** What a WAL page header says besides its address. */
export interface WalPageHeader {
  /** xlp_info without XLP_LONG_HEADER, which follows from the address. */
  readonly info: number;
  /** PostgreSQL's own timeline id. */
  readonly pgTimeline: number;
  /** Bytes of a record that are still to come at the start of this page; 0 when none began before it. */
  readonly remainingLength: number;
  /** The cluster's system identifier, for long headers. */
  readonly systemId: SystemId;
  /** Size of a WAL segment. Unit: bytes. */
  readonly segmentSize: number;
}

/** Length of the header of the WAL page at `pageLsn`: 40 on the first page of a segment, else 24. */
export function walPageHeaderLength(pageLsn: Lsn, segmentSize: number): number {
  return pageLsn % segmentSize === 0 ? SIZE_OF_XLOG_LONG_PHD : SIZE_OF_XLOG_SHORT_PHD;
}

/** Writes the header of the WAL page at `pageLsn`, short or long as its address demands, at `offset` and gives its length. */
export function writeWalPageHeader(
  major: PgMajor,
  view: DataView,
  offset: number,
  pageLsn: Lsn,
  header: WalPageHeader,
): number {
  const length = walPageHeaderLength(pageLsn, header.segmentSize);
  const long = length === SIZE_OF_XLOG_LONG_PHD;
  view.setUint16(offset + XLP_MAGIC, formatOf(major).walPageMagic, true);
  view.setUint16(offset + XLP_INFO, header.info | (long ? XLP_LONG_HEADER : 0), true);
  view.setUint32(offset + XLP_TLI, header.pgTimeline, true);
  writeLsn(view, offset + XLP_PAGEADDR, pageLsn);
  view.setUint32(offset + XLP_REM_LEN, header.remainingLength, true);
  view.setUint32(offset + XLP_REM_LEN + 4, 0, true);
  if (long) {
    view.setBigUint64(offset + XLP_SYSID, BigInt(header.systemId), true);
    view.setUint32(offset + XLP_SEG_SIZE, header.segmentSize, true);
    view.setUint32(offset + XLP_XLOG_BLCKSZ, XLOG_BLCKSZ, true);
  }
  return length;
}

/** The system identifier in the long WAL page header at `offset`. */
export function readWalSystemId(view: DataView, offset: number): SystemId {
  return view.getBigUint64(offset + XLP_SYSID, true).toString() as SystemId;
}

/** xlp_pageaddr of the WAL page header at `offset`. */
export function readWalPageAddress(view: DataView, offset: number): Lsn {
  return readLsn(view, offset + XLP_PAGEADDR);
}
