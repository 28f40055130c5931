/* The presence map: finding a segment, its bits, and the locks on them. The rules are in map.h. */
#include "map.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "system.h"

static struct map_header *header;
static char map_path[PATH_MAX];
static int lock_fd = -1;

struct map_header *map_header(void) { return header; }

static struct segment *slots(void) { return (struct segment *)((uint8_t *)header + header->slots_offset); }

static _Atomic uint64_t *bitmap(const struct segment *segment) { return (_Atomic uint64_t *)((uint8_t *)header + segment->bitmap_offset); }

static uint64_t bitmap_length(uint32_t blocks) { return ((uint64_t)blocks + 63) / 64 * 8; }

static const char *check(const struct map_header *map, uint64_t length) {
    if (map->magic != MAP_MAGIC) return "it is not a presence map";
    if (map->version != MAP_VERSION) return "it is a presence map of another version";
    if (map->file_length != length) return "its length is not what its header says";
    uint64_t capacity = map->slot_capacity;
    if (capacity == 0 || (capacity & (capacity - 1)) != 0 || map->segments >= capacity) return "its slot capacity is impossible";
    if (map->slots_offset != sizeof(*map) || map->bitmaps_offset != map->slots_offset + capacity * sizeof(struct segment) || map->bitmaps_offset > length)
        return "its tables do not fit into it";
    if (memchr(map->address, 0, sizeof(map->address)) == NULL || memchr(map->pgdata, 0, sizeof(map->pgdata)) == NULL || map->pgdata[0] != '/')
        return "its address or data directory is not text that ends";
    if (map->readahead_blocks < 1 || map->readahead_blocks > 128 || map->request_deadline_ms < 1 || map->request_deadline_ms > INT_MAX)
        return "its readahead or deadline is out of range";
    const struct segment *slot = (const struct segment *)((const uint8_t *)map + map->slots_offset);
    uint32_t used = 0;
    for (uint64_t i = 0; i < capacity; i++, slot++) {
        if (slot->state == SEGMENT_EMPTY) continue;
        used++;
        if (slot->state > SEGMENT_DEAD || slot->blocks > SEGMENT_BLOCKS || slot->remote > slot->blocks || slot->bitmap_offset % 8 != 0 ||
            slot->bitmap_offset < map->bitmaps_offset || slot->bitmap_offset > length || bitmap_length(slot->blocks) > length - slot->bitmap_offset)
            return "one of its slots is impossible";
    }
    return used == map->segments ? NULL : "it has another number of segments than its header says";
}

const char *map_open(const char *path) {
    if (strlen(path) >= sizeof(map_path)) return "its path is too long";
    int fd = system_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return strerror(errno);
    struct stat status;
    const char *problem = NULL;
    void *mapped = MAP_FAILED;
    if (fstat(fd, &status) != 0)
        problem = strerror(errno);
    else if ((uint64_t)status.st_size < sizeof(struct map_header))
        problem = "it is too short";
    else if ((mapped = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        problem = strerror(errno);
    else
        problem = check(mapped, (uint64_t)status.st_size);
    system_close(fd);
    if (problem != NULL) {
        if (mapped != MAP_FAILED) munmap(mapped, (size_t)status.st_size);
        return problem;
    }
    header = mapped;
    strcpy(map_path, path);
    return NULL;
}

/* The arithmetic of slotHash() in presence-map/layout.ts. */
static uint32_t slot_hash(const struct segment_key *key) {
    const uint32_t words[] = {key->spc, key->db, key->rel, key->fork, key->segment};
    uint32_t hash = 0;
    for (int i = 0; i < 5; i++) {
        hash = (hash ^ words[i]) * 0x85ebca6bu + 0x9e3779b9u;
        hash ^= hash >> 13;
    }
    return hash ^ hash >> 16;
}

struct segment *map_find(const struct segment_key *key) {
    uint32_t mask = header->slot_capacity - 1, index = slot_hash(key);
    for (uint32_t probe = 0; probe <= mask; probe++, index++) {
        struct segment *segment = &slots()[index & mask];
        if (segment->state == SEGMENT_EMPTY) return NULL;
        if (memcmp(&segment->key, key, sizeof(*key)) == 0) return segment;
    }
    return NULL;
}

uint32_t map_index(const struct segment *segment) { return (uint32_t)(segment - slots()); }

struct segment *map_segment(uint32_t index) { return &slots()[index]; }

/* First block in [first, end) whose bit, after inverting it where `invert` has ones, is 1. */
static uint32_t next_bit(const struct segment *segment, uint32_t first, uint32_t end, uint64_t invert) {
    const _Atomic uint64_t *words = bitmap(segment);
    for (uint32_t at = first; at < end; at = (at | 63) + 1) {
        uint64_t word = (atomic_load_explicit(&words[at / 64], memory_order_acquire) ^ invert) >> (at % 64);
        if (word == 0) continue;
        uint32_t found = at + (uint32_t)__builtin_ctzll(word);
        return found < end ? found : end;
    }
    return end;
}

uint32_t map_next_missing(const struct segment *segment, uint32_t first, uint32_t end) { return next_bit(segment, first, end, 0); }

uint32_t map_next_present(const struct segment *segment, uint32_t first, uint32_t end) { return next_bit(segment, first, end, UINT64_MAX); }

static bool lock_range(const struct segment *segment, uint32_t first, uint32_t end, short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(segment->bitmap_offset + first / 8), .l_len = (end - 1) / 8 - first / 8 + 1};
    for (;;) {
        if (fcntl(lock_fd, type == F_UNLCK ? F_OFD_SETLK : F_OFD_SETLKW, &range) == 0) return true;
        if (errno != EINTR) return false;
    }
}

bool map_lock(const struct segment *segment, uint32_t first, uint32_t end) {
    if (lock_fd < 0) lock_fd = system_openat(AT_FDCWD, map_path, O_RDWR | O_CLOEXEC, 0);
    return lock_fd >= 0 && lock_range(segment, first, end, F_WRLCK);
}

void map_unlock(const struct segment *segment, uint32_t first, uint32_t end) { lock_range(segment, first, end, F_UNLCK); }

static void wake(struct segment *segment) { syscall(SYS_futex, &segment->missing, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }

uint32_t map_set_present(struct segment *segment, uint32_t first, uint32_t end) {
    _Atomic uint64_t *words = bitmap(segment);
    uint32_t cleared = 0, remote = atomic_load(&segment->remote);
    if (end > remote) end = remote; /* bits beyond are not counted in `missing`, so they must not be discounted */
    for (uint32_t at = first; at < end;) {
        uint32_t stop = (at | 63) + 1 < end ? (at | 63) + 1 : end;
        uint64_t mask = (UINT64_MAX >> (64 - (stop - at))) << (at % 64);
        cleared += (uint32_t)__builtin_popcountll(atomic_fetch_and_explicit(&words[at / 64], ~mask, memory_order_release) & mask);
        at = stop;
    }
    if (cleared > 0) {
        atomic_fetch_sub(&segment->missing, cleared);
        wake(segment);
    }
    return cleared;
}

static uint32_t count_missing(const struct segment *segment, uint32_t end) {
    uint32_t count = 0;
    for (uint32_t at = 0; at < end; at += 64) {
        uint64_t word = atomic_load(&bitmap(segment)[at / 64]);
        if (end - at < 64) word &= UINT64_MAX >> (64 - (end - at));
        count += (uint32_t)__builtin_popcountll(word);
    }
    return count;
}

void map_set_remote(struct segment *segment, uint32_t remote) {
    uint32_t missing = count_missing(segment, remote);
    if (remote > atomic_load(&segment->remote)) { /* undone: the count is raised before the blocks count again */
        atomic_store(&segment->missing, missing);
        atomic_store(&segment->remote, remote);
    } else {
        atomic_store(&segment->remote, remote);
        atomic_store(&segment->missing, missing);
    }
    wake(segment);
}

void map_wait_installed(struct segment *segment, uint32_t missing_seen, uint32_t timeout_us) {
    struct timespec timeout = {.tv_sec = timeout_us / 1000000, .tv_nsec = (long)(timeout_us % 1000000) * 1000};
    syscall(SYS_futex, &segment->missing, FUTEX_WAIT, missing_seen, &timeout, NULL, 0);
}

void map_after_fork(void) {
    if (lock_fd >= 0) system_close(lock_fd);
    lock_fd = -1;
}
