/** Size of a WAL page. Unit: bytes. PG: XLOG_BLCKSZ, pg_config.h. */
export const XLOG_BLCKSZ = 8192;

/** Size of a WAL segment file unless initdb was told otherwise. Unit: bytes. PG: DEFAULT_XLOG_SEG_SIZE. */
export const DEFAULT_WAL_SEGMENT_SIZE = 16 * 1024 * 1024;

/** Size of the XLogRecord header. Unit: bytes. PG: SizeOfXLogRecord, xlogrecord.h. */
export const SIZE_OF_XLOG_RECORD = 24;

/** Size of a short WAL page header. Unit: bytes. PG: SizeOfXLogShortPHD, xlog_internal.h. */
export const SIZE_OF_XLOG_SHORT_PHD = 24;
/** Size of a long WAL page header, on the first page of a segment. Unit: bytes. PG: SizeOfXLogLongPHD, xlog_internal.h. */
export const SIZE_OF_XLOG_LONG_PHD = 40;

/** xlp_info bit: the page begins with the rest of a record from the page before. PG: xlog_internal.h. */
export const XLP_FIRST_IS_CONTRECORD = 0x0001;
/** xlp_info bit: the header is a long one. PG: xlog_internal.h. */
export const XLP_LONG_HEADER = 0x0002;
/** xlp_info bit: backup blocks on this page may be left out (unused). PG: xlog_internal.h. */
export const XLP_BKP_REMOVABLE = 0x0004;
/** xlp_info bit: what should have been the rest of a record was overwritten after a crash. PG: xlog_internal.h. */
export const XLP_FIRST_IS_OVERWRITE_CONTRECORD = 0x0008;
/** Every defined xlp_info bit. PG: xlog_internal.h. */
export const XLP_ALL_FLAGS = 0x000f;

/** xl_info bits that belong to the WAL machinery, not to the resource manager. PG: xlogrecord.h. */
export const XLR_INFO_MASK = 0x0f;
/** xl_info bits that belong to the resource manager. PG: xlogrecord.h. */
export const XLR_RMGR_INFO_MASK = 0xf0;
/** xl_info bit: the record changes relation files in ways its block references do not show. PG: xlogrecord.h. */
export const XLR_SPECIAL_REL_UPDATE = 0x01;
/** xl_info bit: every block of the record carries an image to compare redo's result with. PG: xlogrecord.h. */
export const XLR_CHECK_CONSISTENCY = 0x02;

/** Block header flag bits that hold the fork number. PG: xlogrecord.h. */
export const BKPBLOCK_FORK_MASK = 0x0f;
/** Block header flag: an image follows. PG: xlogrecord.h. */
export const BKPBLOCK_HAS_IMAGE = 0x10;
/** Block header flag: the block has data. PG: xlogrecord.h. */
export const BKPBLOCK_HAS_DATA = 0x20;
/** Block header flag: redo builds the page from nothing. PG: xlogrecord.h. */
export const BKPBLOCK_WILL_INIT = 0x40;
/** Block header flag: same relation as the block reference before. PG: xlogrecord.h. */
export const BKPBLOCK_SAME_REL = 0x80;

/** bimg_info bit: a hole of zeroes was left out of the image. PG 15-18: xlogrecord.h. */
export const BKPIMAGE_HAS_HOLE = 0x01;
/** bimg_info bit: redo restores the image. PG 15-18: xlogrecord.h. */
export const BKPIMAGE_APPLY = 0x02;
/** bimg_info bit: compressed with pglz. PG 15-18: xlogrecord.h. */
export const BKPIMAGE_COMPRESS_PGLZ = 0x04;
/** bimg_info bit: compressed with lz4. PG 15-18: xlogrecord.h. */
export const BKPIMAGE_COMPRESS_LZ4 = 0x08;
/** bimg_info bit: compressed with zstd. PG 15-18: xlogrecord.h. */
export const BKPIMAGE_COMPRESS_ZSTD = 0x10;
/** Any of the compression bits. PG: BKPIMAGE_COMPRESSED(), xlogrecord.h. */
export const BKPIMAGE_COMPRESSED = BKPIMAGE_COMPRESS_PGLZ | BKPIMAGE_COMPRESS_LZ4 | BKPIMAGE_COMPRESS_ZSTD;

/** Header id: main data, length in a byte. PG: xlogrecord.h. */
export const XLR_BLOCK_ID_DATA_SHORT = 255;
/** Header id: main data, length in a u32. PG: xlogrecord.h. */
export const XLR_BLOCK_ID_DATA_LONG = 254;
/** Header id: replication origin, u16. PG: xlogrecord.h. */
export const XLR_BLOCK_ID_ORIGIN = 253;
/** Header id: top-level transaction id, u32. PG: xlogrecord.h. */
export const XLR_BLOCK_ID_TOPLEVEL_XID = 252;
