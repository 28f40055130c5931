import { INVALID_LSN, type Lsn } from '@zenith/base';

/** Highest block reference id a record can carry. PG: XLR_MAX_BLOCK_ID, xlogrecord.h. */
export const XLR_MAX_BLOCK_ID = 32;

/** One block reference of a decoded record. Offsets are into the record's own buffer. PG: DecodedBkpBlock, xlogreader.h. */
export class BlockReference {
  /** False when the record has no block with this id; every other field is then stale. */
  inUse = false;
  /** Tablespace oid. */
  spc = 0;
  /** Database oid, 0 for shared relations. */
  db = 0;
  /** Relfilenode (relation file number). */
  rel = 0;
  /** Fork number: 0 main, 1 fsm, 2 vm, 3 init. */
  fork = 0;
  /** Block number in the fork. */
  block = 0;
  /** Flag byte as written, fork bits included. */
  flags = 0;
  /** True when redo builds the page from nothing. PG: BKPBLOCK_WILL_INIT. */
  willInit = false;
  /** True when the record carries an image of the block. */
  hasImage = false;
  /** True when that image is to be restored instead of redoing the record; false for one that only checks redo's result. */
  applyImage = false;
  /** Where the image's bytes begin. */
  imageOffset = 0;
  /** How many bytes of image the record holds (compressed length when it is compressed). */
  imageLength = 0;
  /** bimg_info as written; compression bits differ by version. */
  imageInfo = 0;
  /** Start of the hole of zeroes left out of the image. Unit: bytes into the page. */
  holeOffset = 0;
  /** Length of that hole. Unit: bytes. */
  holeLength = 0;
  /** Where the block's own data begin. */
  dataOffset = 0;
  /** How many bytes of data belong to the block; 0 when there are none. */
  dataLength = 0;
}

/**
 * A decoded WAL record, filled in place and reused: the scratch that the decoder, ingest and redo share. `bytes` and `view` cover the
 * same buffer, are only borrowed, and stay valid until the next record is decoded. PG: DecodedXLogRecord, xlogreader.h.
 */
export class WalRecord {
  /** The buffer that holds the whole record contiguously. Borrowed. */
  bytes: Uint8Array = new Uint8Array(0);
  /** A view over exactly the same bytes as `bytes`. Borrowed. */
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the XLogRecord header begins in `bytes`. */
  offset = 0;
  /** xl_tot_len. Unit: bytes. */
  totalLength = 0;
  /** Transaction id that wrote it; 0 for none. */
  xid = 0;
  /** xl_prev: where the record before it begins. */
  prev: Lsn = INVALID_LSN;
  /** xl_info, all eight bits. */
  info = 0;
  /** Resource manager id. */
  rmid = 0;
  /** Where the record begins in the WAL. For a stored, trimmed record: not known, INVALID_LSN. */
  lsn: Lsn = INVALID_LSN;
  /** First byte after the record, aligned up to 8: what redo puts in pd_lsn, and the LSN at which the change exists. */
  endLsn: Lsn = INVALID_LSN;
  /** Replication origin id; 0 when the record carries none. */
  origin = 0;
  /** Top-level transaction id when the record carries one (XLR_BLOCK_ID_TOPLEVEL_XID), else 0. */
  topLevelXid = 0;
  /** Where the main data begin in `bytes`. */
  mainDataOffset = 0;
  /** Length of the main data. Unit: bytes. */
  mainDataLength = 0;
  /** One more than the highest block id in use; 0 for a record without blocks. */
  blockCount = 0;
  /** Block references by id; only those below `blockCount` with `inUse` count. */
  readonly blocks: readonly BlockReference[] = Array.from({ length: XLR_MAX_BLOCK_ID + 1 }, () => new BlockReference());
}
