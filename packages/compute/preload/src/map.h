/*
 * The presence map: one file per compute, mapped by every process of its PostgreSQL, that says which blocks of the data directory's sparse relation
 * files are still missing. The supervisor writes it once (packages/compute/src/presence-map); afterwards only this library changes it. Little-endian.
 *
 *   header, 4096 B | slots, 64 B each, open addressing | bitmaps, u64 words, one bit a block, 1 = missing
 *
 * Rules that every process keeps, whatever kills it and when:
 *   - Bits only ever go from 1 to 0, after the block's bytes are in the file, and under the lock on that bit's byte. A reader that sees 0 needs no lock.
 *   - `remote` only goes down; bits at or beyond it mean nothing. It goes down before the file is truncated, under the lock on the whole bitmap.
 *   - `missing` is never below the number of 1 bits before `remote`: bits first, then the count. It is also the futex that fetchers wake.
 *   - A live slot whose file exists is the snapshot's file. A dead slot never becomes live.
 * Locks are open-file-description locks on byte ranges of the map file, so they die with the process that held them. No lock is held across the network.
 */
#ifndef ZENITH_MAP_H
#define ZENITH_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MAP_MAGIC 0x314D505Au /* "ZPM1" */
#define MAP_VERSION 1u
#define BLOCK_SIZE 8192
#define SEGMENT_BLOCKS 131072u

enum segment_state { SEGMENT_EMPTY = 0, SEGMENT_LIVE = 1, SEGMENT_DEAD = 2 };

/* What is counted over all processes, for the supervisor to read. */
struct map_counters {
    _Atomic uint64_t requests;         /* sent to the pageserver */
    _Atomic uint64_t blocks_fetched;   /* that came back */
    _Atomic uint64_t blocks_installed; /* put into files; the rest was no longer missing */
    _Atomic uint64_t waited_us;        /* reads waiting for the pageserver */
    _Atomic uint64_t reconnects;       /* connections lost, and attempts that failed */
    _Atomic uint64_t failures;         /* reads that failed for good */
};

struct map_header {
    uint32_t magic;
    uint32_t version;
    uint32_t slot_capacity; /* a power of two, at least one slot stays empty */
    uint32_t segments;
    uint64_t slots_offset;
    uint64_t bitmaps_offset;
    uint64_t file_length;
    uint64_t lsn; /* start LSN X of the compute */
    uint8_t tenant[16];
    uint8_t timeline[16];
    uint32_t request_deadline_ms;
    uint32_t readahead_blocks; /* 1..128 */
    uint8_t reserved[40];
    struct map_counters counters; /* on cache lines of their own */
    uint8_t reserved2[80];
    char address[256]; /* "tcp:127.0.0.1:64000", "tcp:[::1]:64000" or "unix:/path" */
    char pgdata[3584]; /* absolute */
};

/* Names one segment file of a relation fork. */
struct segment_key {
    uint32_t spc, db, rel, fork, segment;
};

struct segment {
    _Atomic uint32_t state;
    struct segment_key key;
    uint32_t blocks;          /* bits the bitmap has */
    _Atomic uint32_t remote;  /* blocks that may be missing: the first ones, not truncated since */
    _Atomic uint32_t missing; /* 1 bits before `remote`; never too low */
    _Atomic uint32_t readahead_next;
    uint64_t bitmap_offset; /* multiple of 8, from the start of the file */
    _Atomic uint32_t readahead_window;
    _Atomic uint32_t claim_begin, claim_end; /* a fetch some process has in flight; a hint, never trusted */
    _Atomic uint32_t claim_ms;
};

_Static_assert(sizeof(struct map_header) == 4096 && offsetof(struct map_header, address) == 256, "layout of the header");
_Static_assert(offsetof(struct map_header, counters) == 128 && sizeof(struct segment) == 64, "layout of counters and slots");

/* Maps and checks the file. Returns what is wrong with it, or NULL. */
const char *map_open(const char *path);

/* The mapped header; valid after map_open(). */
struct map_header *map_header(void);

/* The slot of that segment whatever its state, or NULL. */
struct segment *map_find(const struct segment_key *key);

/* Position of a slot, for tables that hold 32 bits; and back. */
uint32_t map_index(const struct segment *segment);
struct segment *map_segment(uint32_t index);

/* First missing block in [first, end), or `end`. Acquires: a block found present can be read. */
uint32_t map_next_missing(const struct segment *segment, uint32_t first, uint32_t end);

/* First block in [first, end) that is not missing, or `end`. */
uint32_t map_next_present(const struct segment *segment, uint32_t first, uint32_t end);

/* Locks the bits of [first, end) against all other processes. Returns false with errno when that cannot be done. Not recursive. */
bool map_lock(const struct segment *segment, uint32_t first, uint32_t end);
void map_unlock(const struct segment *segment, uint32_t first, uint32_t end);

/* Under the lock: the bytes of the blocks [first, end) are in the file now. Wakes who waits for them. Returns how many were missing. */
uint32_t map_set_present(struct segment *segment, uint32_t first, uint32_t end);

/* Under the lock on the whole segment: blocks from `remote` on are no longer the snapshot's. To be undone only before the lock is released. */
void map_set_remote(struct segment *segment, uint32_t remote);

/* Waits until something of the segment was installed, at most that long. */
void map_wait_installed(struct segment *segment, uint32_t missing_seen, uint32_t timeout_us);

/* In a child process: locks belong to the parent's file description, so take another when one is needed. */
void map_after_fork(void);

#endif
