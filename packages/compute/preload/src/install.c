/* Installing fetched pages. Bytes first, then the bit: killed in between, the block is missing still and is fetched again. */
#include "install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "system.h"

static bool write_fully(int fd, const uint8_t *bytes, size_t length, off_t at) {
    while (length > 0) {
        ssize_t written = system_pwrite(fd, bytes, length, at);
        if (written < 0 && errno == EINTR) continue;
        if (written == 0) errno = ENOSPC;
        if (written <= 0) return false;
        bytes += written;
        length -= (size_t)written;
        at += written;
    }
    return true;
}

/* A descriptor of the same file that pwrite() can be used on: fd itself, or a new one for the caller to close. */
static int writable(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || ((flags & O_ACCMODE) != O_RDONLY && (flags & O_APPEND) == 0)) return fd;
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return system_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
}

static bool install_locked(struct segment *segment, int fd, uint32_t first, uint32_t end, const uint8_t *pages, uint32_t *installed) {
    uint32_t remote = atomic_load(&segment->remote);
    if (end > remote) end = remote; /* truncated meanwhile */
    for (uint32_t at = first; (at = map_next_missing(segment, at, end)) < end;) {
        uint32_t stop = map_next_present(segment, at, end);
        if (!write_fully(fd, pages + (size_t)(at - first) * BLOCK_SIZE, (size_t)(stop - at) * BLOCK_SIZE, (off_t)at * BLOCK_SIZE)) return false;
        *installed += map_set_present(segment, at, stop);
        at = stop;
    }
    return true;
}

bool install_pages(struct segment *segment, int fd, uint32_t first, uint32_t count, const uint8_t *pages, uint32_t *installed) {
    *installed = 0;
    int target = writable(fd);
    if (target < 0) return false;
    bool done = map_lock(segment, first, first + count);
    if (done) {
        done = install_locked(segment, target, first, first + count, pages, installed);
        int saved = errno;
        map_unlock(segment, first, first + count);
        errno = saved;
    }
    if (target != fd) {
        int saved = errno;
        system_close(target);
        errno = saved;
    }
    return done;
}
