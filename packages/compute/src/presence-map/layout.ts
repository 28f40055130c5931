/**
 * The presence map: one file per compute, shared by every process of its PostgreSQL through mmap, that says which blocks of the data directory's sparse
 * relation files are still missing. Written once by the builder, changed afterwards only by the preload library. Little-endian. The C side is
 * packages/compute/preload/src/map.h; a test compares both.
 *
 *   header, 4096 B
 *        0 magic u32 "ZPM1"        4 version u32              8 slot capacity u32, a power of two   12 segments u32
 *       16 slots offset u64       24 bitmaps offset u64      32 file length u64                     40 start LSN u64
 *       48 tenant 16 B            64 timeline 16 B           80 request deadline u32, ms            84 readahead u32, blocks
 *      128 counters u64: requests, blocks fetched, blocks installed, microseconds waited, reconnects, failures
 *      256 address of the pageserver, 256 B, NUL-padded     512 PGDATA, absolute, 3584 B, NUL-padded
 *   slots, 64 B each, open addressing with linear probing from slotHash()
 *        0 state u32               4 spc u32   8 db u32  12 rel u32  16 fork u32  20 segment u32
 *       24 blocks u32 (bits the bitmap has)   28 remote blocks u32 (bits beyond mean nothing: truncated)   32 missing u32 (never too low)
 *       36 readahead next u32     40 bitmap offset u64       48 readahead window u32
 *       52 claim begin u32       56 claim end u32           60 claim time u32, ms (a fetch in flight; a hint, never trusted)
 *   bitmaps, u64 words, one bit a block, 1 = missing
 */
export const HeaderOffset = {
  magic: 0,
  version: 4,
  slotCapacity: 8,
  segments: 12,
  slotsOffset: 16,
  bitmapsOffset: 24,
  fileLength: 32,
  lsn: 40,
  tenant: 48,
  timeline: 64,
  requestDeadlineMs: 80,
  readaheadBlocks: 84,
  counters: 128,
  address: 256,
  pgdata: 512,
} as const;

/** Offsets in a slot. Unit: bytes. */
export const SlotOffset = {
  state: 0,
  spc: 4,
  db: 8,
  rel: 12,
  fork: 16,
  segment: 20,
  blocks: 24,
  remoteBlocks: 28,
  missing: 32,
  readaheadNext: 36,
  bitmapOffset: 40,
  readaheadWindow: 48,
  claimBegin: 52,
  claimEnd: 56,
  claimMs: 60,
} as const;

/** First four bytes of the file: `ZPM1`. */
export const PRESENCE_MAP_MAGIC = 0x314d505a;

/** The version this code reads and writes. */
export const PRESENCE_MAP_VERSION = 1;

/** Unit: bytes. */
export const HEADER_LENGTH = 4096;

/** Unit: bytes; one cache line. */
export const SLOT_LENGTH = 64;

/** Room for the pageserver's address with its terminating NUL. Unit: bytes. */
export const ADDRESS_LENGTH = HeaderOffset.pgdata - HeaderOffset.address;

/** Room for the path of the data directory with its terminating NUL. Unit: bytes. */
export const PGDATA_LENGTH = HEADER_LENGTH - HeaderOffset.pgdata;

/** State of a slot. A dead one never becomes live: the file was unlinked, its name may have a new life that is local. */
export const SlotState = { empty: 0, live: 1, dead: 2 } as const;

/** The counters in the header, in their order; each a u64. */
export const COUNTER_NAMES = [
  'requests',
  'blocksFetched',
  'blocksInstalled',
  'waitedUs',
  'reconnects',
  'failures',
] as const;

/** Most blocks the library asks for at once. */
export const READAHEAD_BLOCKS_MAX = 128;

/** Bound on the segments of one map: 16 TiB at 1 GiB each, or as many small files. */
export const SEGMENTS_MAX = 1 << 22;

/** Where the search for a segment's slot begins; masked by capacity − 1. The same arithmetic as slot_hash() in map.c. */
export function slotHash(spc: number, db: number, rel: number, fork: number, segment: number): number {
  let hash = mix(mix(mix(mix(mix(0, spc), db), rel), fork), segment);
  hash ^= hash >>> 16;
  return hash >>> 0;
}

function mix(hash: number, value: number): number {
  const product = Math.imul((hash ^ value) >>> 0, 0x85ebca6b) + 0x9e3779b9;
  return (product ^ (product >>> 13)) >>> 0;
}
