/* Reads, writes and truncations of files with missing blocks, and how far to read ahead. The rules are in map.h. */
#include "presence.h"

#include <errno.h>

#include "client.h"
#include "patience.h"
#include "protocol.h"

/* A segment of at most this many blocks comes as a whole: most catalogs and small indexes are read completely sooner or later. */
#define SMALL_SEGMENT_BLOCKS 32u

/* How far out of order the reads of one scan come: reads that overtake another (PostgreSQL has three I/O workers by default), windows one is late by. */
#define READS_AHEAD 3u
#define WINDOWS_LATE 3u

/* How long to wait for blocks another process is fetching before fetching them oneself. */
#define CLAIM_MS 50u
#define CLAIM_WAIT_US 5000u

static uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* The blocks that [at, at + length) touches and that may be missing. */
static bool touched(const struct segment *segment, off_t at, size_t length, uint32_t *first, uint32_t *end) {
    uint32_t remote = atomic_load_explicit(&segment->remote, memory_order_acquire);
    if (length == 0 || at < 0 || at / BLOCK_SIZE >= remote) return false;
    uint64_t bytes = length < (uint64_t)SEGMENT_BLOCKS * BLOCK_SIZE ? length : (uint64_t)SEGMENT_BLOCKS * BLOCK_SIZE;
    uint64_t stop = ((uint64_t)at + bytes + BLOCK_SIZE - 1) / BLOCK_SIZE;
    *first = (uint32_t)(at / BLOCK_SIZE);
    *end = stop < remote ? (uint32_t)stop : remote;
    return true;
}

static bool none_missing(const struct segment *segment) { return atomic_load_explicit(&segment->missing, memory_order_acquire) == 0; }

/*
 * Which blocks to ask for when [first, first + needed) is missing; returns their number and moves *begin from `first` back when those before are due too.
 * The window belongs to the segment and not to the process, because PostgreSQL 18 spreads one scan over its I/O workers, which come out of order. An access
 * a few reads beyond where the last request ended is sequential: it doubles the window and asks from that end on, so that no gap is left to who is late.
 * One that is behind within a few windows is late: it gets its blocks and changes nothing. Any other resets the window.
 */
static uint32_t read_ahead(struct segment *segment, uint32_t first, uint32_t needed, uint32_t *begin) {
    uint32_t remote = atomic_load(&segment->remote), limit = map_header()->readahead_blocks;
    uint32_t next = atomic_load_explicit(&segment->readahead_next, memory_order_relaxed);
    uint32_t window = atomic_load_explicit(&segment->readahead_window, memory_order_relaxed);
    *begin = first;
    if (first < next && next - first <= WINDOWS_LATE * window && remote > SMALL_SEGMENT_BLOCKS) return needed;
    bool sequential = first >= next && first - next <= READS_AHEAD * (needed - 1) + 1;
    window = sequential ? min(limit, max(window, needed) * 2) : needed;
    uint32_t kept = window;
    if (remote <= SMALL_SEGMENT_BLOCKS) window = min(limit, SMALL_SEGMENT_BLOCKS);
    if (sequential && first + needed - next <= window && map_next_present(segment, next, first) == first) *begin = next;
    uint32_t asked_end = first + needed, end = min(remote, *begin + max(window, needed));
    for (; asked_end < end; asked_end++)
        if (map_next_missing(segment, asked_end, asked_end + 1) != asked_end) break;
    if (!atomic_compare_exchange_strong(&segment->readahead_next, &next, asked_end)) { /* another process asks for these just now */
        *begin = first;
        return needed;
    }
    atomic_store_explicit(&segment->readahead_window, kept, memory_order_relaxed);
    return asked_end - *begin;
}

/* Tells other processes that the blocks are on their way. */
static void claim(struct segment *segment, uint32_t first, uint32_t count) {
    atomic_store_explicit(&segment->claim_ms, (uint32_t)now_ms(), memory_order_relaxed);
    atomic_store_explicit(&segment->claim_begin, first, memory_order_relaxed);
    atomic_store_explicit(&segment->claim_end, first + count, memory_order_release);
}

static void withdraw_claim(struct segment *segment, uint32_t first) {
    if (atomic_load_explicit(&segment->claim_begin, memory_order_relaxed) == first) atomic_store_explicit(&segment->claim_end, 0, memory_order_relaxed);
}

/*
 * Waits a moment when another process has lately asked for that block. Returns whether to look again. A claim is a hint: whoever made it may be dead, so
 * it is believed for CLAIM_MS only.
 */
static bool wait_for_other(struct segment *segment, uint32_t block) {
    uint32_t end = atomic_load_explicit(&segment->claim_end, memory_order_acquire);
    uint32_t begin = atomic_load_explicit(&segment->claim_begin, memory_order_relaxed);
    uint32_t age_ms = (uint32_t)now_ms() - atomic_load_explicit(&segment->claim_ms, memory_order_relaxed);
    if (block < begin || block >= end || age_ms > CLAIM_MS) return false;
    uint32_t missing = atomic_load(&segment->missing);
    if (map_next_missing(segment, block, block + 1) == block) map_wait_installed(segment, missing, CLAIM_WAIT_US);
    return true;
}

static bool fetch_missing(struct segment *segment, int fd, uint32_t first, uint32_t end) {
    for (;;) {
        first = map_next_missing(segment, first, min(end, atomic_load(&segment->remote)));
        if (first >= end || first >= atomic_load(&segment->remote)) return true;
        bool requested = client_has_requested(segment, first); /* after a hint */
        if (!requested && wait_for_other(segment, first)) continue;
        /* One request for the whole stretch: a block in its midst that is present comes once more and is not installed. */
        uint32_t last = min(end, first + PROTOCOL_PAGES_MAX) - 1;
        while (map_next_missing(segment, last, last + 1) != last && last > first) last--;
        uint32_t needed = last - first + 1, begin = first, wanted = needed;
        if (!requested) wanted = read_ahead(segment, first, needed, &begin);
        /* What one read needs does not take the claim from who reads ahead. */
        bool claims = !requested && (wanted > needed || atomic_load_explicit(&segment->claim_end, memory_order_relaxed) == 0);
        if (claims) claim(segment, begin, wanted);
        bool fetched = client_fetch(segment, fd, first, needed, begin, wanted);
        if (claims) withdraw_claim(segment, begin);
        if (!fetched) return false;
    }
}

bool presence_ensure(struct segment *segment, int fd, off_t at, size_t length) {
    uint32_t first, end;
    if (none_missing(segment) || !touched(segment, at, length, &first, &end)) return true;
    if (map_next_missing(segment, first, end) == end) return true;
    int saved = errno;
    if (!fetch_missing(segment, fd, first, end)) return false;
    errno = saved;
    return true;
}

void presence_will_need(struct segment *segment, int fd, off_t at, size_t length) {
    uint32_t first, end;
    if (none_missing(segment) || !touched(segment, at, length, &first, &end)) return;
    if ((first = map_next_missing(segment, first, end)) == end) return;
    client_prefetch(segment, fd, first, min(map_next_present(segment, first, end), first + PROTOCOL_PAGES_MAX) - first);
}

bool presence_write_begin(struct presence_write *write, struct segment *segment, int fd, off_t at, size_t length) {
    write->segment = NULL;
    if (none_missing(segment) || !touched(segment, at, length, &write->first, &write->end)) return true;
    if (map_next_missing(segment, write->first, write->end) == write->end) return true;
    off_t stop = at + (off_t)length;
    if (at % BLOCK_SIZE != 0 && !presence_ensure(segment, fd, at, 1)) return false;
    if (stop % BLOCK_SIZE != 0 && !presence_ensure(segment, fd, stop, 1)) return false;
    if (!map_lock(segment, write->first, write->end)) return false;
    write->segment = segment;
    write->at = at;
    write->length = length;
    return true;
}

ssize_t presence_write_end(struct presence_write *write, ssize_t written) {
    if (write->segment == NULL) return written;
    int saved = errno;
    if (written > 0) {
        off_t stop = write->at + written;
        uint32_t whole_end = stop / BLOCK_SIZE < write->end ? (uint32_t)(stop / BLOCK_SIZE) : write->end;
        if ((size_t)written == write->length) whole_end = write->end; /* a last block written in part was fetched before */
        if (whole_end > write->first) map_set_present(write->segment, write->first, whole_end);
        bool cut = whole_end < write->end && map_next_missing(write->segment, whole_end, whole_end + 1) == whole_end;
        if (cut) written = (off_t)whole_end * BLOCK_SIZE > write->at ? (ssize_t)((off_t)whole_end * BLOCK_SIZE - write->at) : 0;
        if (written == 0) {
            saved = ENOSPC;
            written = -1;
        }
    }
    map_unlock(write->segment, write->first, write->end);
    errno = saved;
    return written;
}

bool presence_truncate_begin(struct presence_truncation *truncation, struct segment *segment, int fd, off_t length) {
    truncation->segment = NULL;
    if (none_missing(segment) || length < 0 || length / BLOCK_SIZE >= atomic_load(&segment->remote)) return true;
    if (length % BLOCK_SIZE != 0 && !presence_ensure(segment, fd, length, 1)) return false;
    if (!presence_lock(segment)) return false;
    uint32_t remote = (uint32_t)((length + BLOCK_SIZE - 1) / BLOCK_SIZE);
    truncation->segment = segment;
    truncation->remote_before = atomic_load(&segment->remote);
    map_set_remote(segment, min(remote, truncation->remote_before));
    return true;
}

void presence_truncate_end(struct presence_truncation *truncation, bool succeeded) {
    if (truncation->segment == NULL) return;
    int saved = errno;
    if (!succeeded) map_set_remote(truncation->segment, truncation->remote_before);
    presence_unlock(truncation->segment);
    errno = saved;
}

bool presence_lock(struct segment *segment) { return map_lock(segment, 0, max(segment->blocks, 1)); }

void presence_unlock(struct segment *segment) { map_unlock(segment, 0, max(segment->blocks, 1)); }

void presence_forget(struct segment *segment) { atomic_store(&segment->state, SEGMENT_DEAD); }
