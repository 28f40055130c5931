/* Which segment an open file descriptor of this process belongs to: set by open, asked by everything else. */
#ifndef ZENITH_DESCRIPTORS_H
#define ZENITH_DESCRIPTORS_H

#include "map.h"

/*
 * Descriptors that can be attached. PostgreSQL keeps at most max_files_per_process (1000 by default) open. One beyond is refused as "too many open
 * files", upon which the server closes some: never is a file with missing blocks left unattached.
 */
#define DESCRIPTORS_MAX 65536

/* Attaches fd, or detaches it when segment is NULL. Returns false when fd is beyond the bound. */
static inline bool descriptor_set(int fd, const struct segment *segment) {
    extern _Atomic uint32_t descriptor_segments[DESCRIPTORS_MAX];
    if (fd < 0 || fd >= DESCRIPTORS_MAX) return segment == NULL;
    uint32_t value = segment == NULL ? 0 : map_index(segment) + 1;
    if (atomic_load_explicit(&descriptor_segments[fd], memory_order_relaxed) != value)
        atomic_store_explicit(&descriptor_segments[fd], value, memory_order_relaxed);
    return true;
}

/* The segment fd is attached to, or NULL: the one test every hooked read and write pays. */
static inline struct segment *descriptor_segment(int fd) {
    extern _Atomic uint32_t descriptor_segments[DESCRIPTORS_MAX];
    if ((unsigned)fd >= DESCRIPTORS_MAX) return NULL;
    uint32_t value = atomic_load_explicit(&descriptor_segments[fd], memory_order_relaxed);
    return value == 0 ? NULL : map_segment(value - 1);
}

#endif
