/*
 * The file calls PostgreSQL makes on relation files, seen first by us. In a process where the library is not active, and for every descriptor and path
 * that is not a segment with missing blocks, a hook is the system call and nothing else.
 *
 * Not hooked because not needed: lseek, stat and posix_fallocate (the sparse file has the right size, growing it adds no missing blocks), mmap (PostgreSQL
 * does not map relation files), dup, fsync and its kin.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "activate.h"
#include "descriptors.h"
#include "presence.h"
#include "system.h"

#define HOOK __attribute__((visibility("default")))
#define HOOK_ALIAS(name) __attribute__((visibility("default"), alias(#name)))

_Atomic uint32_t descriptor_segments[DESCRIPTORS_MAX];

static struct segment *live_segment(int directory, const char *path) { return library_active && path != NULL ? path_live_segment(directory, path) : NULL; }

/* ---- open, close ---- */

static bool exists(int directory, const char *path) {
    int saved = errno;
    bool found = faccessat(directory, path, F_OK, 0) == 0 || errno != ENOENT;
    errno = saved;
    return found;
}

/*
 * Opening that may make or empty the file. Under the lock, because between the look and the creation another process may unlink. A file that is not there
 * is not the snapshot's any more: its slot dies before the new file comes to be.
 */
static int open_changing(struct segment *segment, int directory, const char *path, int flags, mode_t mode) {
    struct presence_truncation truncation = {.segment = NULL};
    bool truncates = (flags & O_TRUNC) != 0;
    if (truncates ? !presence_truncate_begin(&truncation, segment, -1, 0) : !presence_lock(segment)) return -1;
    if (truncates && truncation.segment == NULL) return system_openat(directory, path, flags, mode);
    if ((flags & O_CREAT) != 0 && !exists(directory, path)) presence_forget(segment);
    int fd = system_openat(directory, path, flags, mode);
    int saved = errno;
    if (truncates)
        presence_truncate_end(&truncation, fd >= 0);
    else
        presence_unlock(segment);
    errno = saved;
    return fd;
}

static int open_file(int directory, const char *path, int flags, mode_t mode) {
    struct segment *segment = live_segment(directory, path);
    int fd = segment != NULL && (flags & (O_CREAT | O_TRUNC)) != 0 ? open_changing(segment, directory, path, flags, mode)
                                                                   : system_openat(directory, path, flags, mode);
    if (fd < 0) return fd;
    if (segment != NULL && (atomic_load(&segment->state) != SEGMENT_LIVE || atomic_load(&segment->missing) == 0)) segment = NULL;
    if (descriptor_set(fd, segment)) return fd;
    system_close(fd);
    errno = EMFILE;
    return -1;
}

#define MODE_ARGUMENT(flags, mode)                       \
    mode_t mode = 0;                                     \
    if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) {      \
        va_list arguments;                               \
        va_start(arguments, flags);                      \
        mode = (mode_t)va_arg(arguments, int);           \
        va_end(arguments);                               \
    }

HOOK int open(const char *path, int flags, ...) {
    MODE_ARGUMENT(flags, mode)
    return open_file(AT_FDCWD, path, flags, mode);
}

HOOK int openat(int directory, const char *path, int flags, ...) {
    MODE_ARGUMENT(flags, mode)
    return open_file(directory, path, flags, mode);
}

HOOK int open64(const char *, int, ...) HOOK_ALIAS(open);
HOOK int openat64(int, const char *, int, ...) HOOK_ALIAS(openat);

int __open_2(const char *, int);
HOOK int __open_2(const char *path, int flags) { return open_file(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *, int);
HOOK int __open64_2(const char *, int) HOOK_ALIAS(__open_2);

HOOK int close(int fd) {
    descriptor_set(fd, NULL);
    return system_close(fd);
}

/* stdio reads by calls of its own that cannot be hooked: the whole segment is made present before the stream exists. Only rare functions come here. */
static bool prepare_stream(struct segment *segment, const char *path) {
    int fd = open_file(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return errno == ENOENT;
    bool done = presence_ensure(segment, fd, 0, (size_t)segment->blocks * BLOCK_SIZE);
    int saved = errno;
    close(fd);
    errno = saved;
    return done;
}

HOOK FILE *fopen(const char *path, const char *mode) {
    static FILE *(*next)(const char *, const char *);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "fopen");
    struct segment *segment = live_segment(AT_FDCWD, path);
    if (segment == NULL) return next(path, mode);
    if (mode[0] == 'r') return prepare_stream(segment, path) ? next(path, mode) : NULL;
    errno = EPERM; /* nothing writes relation files through stdio */
    return NULL;
}

HOOK FILE *fopen64(const char *, const char *) HOOK_ALIAS(fopen);

/* ---- reads ---- */

static size_t total_length(const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count && i < IOV_MAX; i++) length += parts[i].iov_len;
    return length;
}

HOOK ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
    struct segment *segment = descriptor_segment(fd);
    if (segment != NULL && !presence_ensure(segment, fd, at, length)) return -1;
    return system_pread(fd, bytes, length, at);
}

HOOK ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) {
    struct segment *segment = descriptor_segment(fd);
    if (segment != NULL && !presence_ensure(segment, fd, at, total_length(parts, count))) return -1;
    return system_preadv(fd, parts, count, at);
}

HOOK ssize_t read(int fd, void *bytes, size_t length) {
    struct segment *segment = descriptor_segment(fd);
    if (segment != NULL && !presence_ensure(segment, fd, lseek(fd, 0, SEEK_CUR), length)) return -1;
    return system_read(fd, bytes, length);
}

HOOK ssize_t pread64(int, void *, size_t, off_t) HOOK_ALIAS(pread);
HOOK ssize_t preadv64(int, const struct iovec *, int, off_t) HOOK_ALIAS(preadv);

/* What _FORTIFY_SOURCE makes of read() and pread(). */
ssize_t __read_chk(int, void *, size_t, size_t);
HOOK ssize_t __read_chk(int fd, void *bytes, size_t length, size_t room) {
    if (length > room) abort();
    return read(fd, bytes, length);
}

ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
HOOK ssize_t __pread_chk(int fd, void *bytes, size_t length, off_t at, size_t room) {
    if (length > room) abort();
    return pread(fd, bytes, length, at);
}
ssize_t __pread64_chk(int, void *, size_t, off_t, size_t);
HOOK ssize_t __pread64_chk(int, void *, size_t, off_t, size_t) HOOK_ALIAS(__pread_chk);

HOOK int posix_fadvise(int fd, off_t at, off_t length, int advice) {
    struct segment *segment = descriptor_segment(fd);
    if (segment != NULL && advice == POSIX_FADV_WILLNEED && length > 0) presence_will_need(segment, fd, at, (size_t)length);
    int saved = errno, result = system_fadvise(fd, at, length, advice) == 0 ? 0 : errno; /* this call returns its error */
    errno = saved;
    return result;
}

HOOK int posix_fadvise64(int, off_t, off_t, int) HOOK_ALIAS(posix_fadvise);

/* ---- writes ---- */

HOOK ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    struct segment *segment = descriptor_segment(fd);
    if (segment == NULL) return system_pwrite(fd, bytes, length, at);
    struct presence_write write;
    if (!presence_write_begin(&write, segment, fd, at, length)) return -1;
    return presence_write_end(&write, system_pwrite(fd, bytes, length, at));
}

HOOK ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    struct segment *segment = descriptor_segment(fd);
    if (segment == NULL) return system_pwritev(fd, parts, count, at);
    struct presence_write write;
    if (!presence_write_begin(&write, segment, fd, at, total_length(parts, count))) return -1;
    return presence_write_end(&write, system_pwritev(fd, parts, count, at));
}

HOOK ssize_t write(int fd, const void *bytes, size_t length) {
    struct segment *segment = descriptor_segment(fd);
    if (segment == NULL) return system_write(fd, bytes, length);
    struct presence_write write;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (!presence_write_begin(&write, segment, fd, at, length)) return -1;
    ssize_t system_wrote = system_write(fd, bytes, length), wrote = presence_write_end(&write, system_wrote);
    if (wrote != system_wrote) lseek(fd, at + (wrote > 0 ? wrote : 0), SEEK_SET);
    return wrote;
}

HOOK ssize_t pwrite64(int, const void *, size_t, off_t) HOOK_ALIAS(pwrite);
HOOK ssize_t pwritev64(int, const struct iovec *, int, off_t) HOOK_ALIAS(pwritev);

/* PostgreSQL 18 clones files with it. Both sides are made present, then the kernel copies. */
HOOK ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t length, unsigned flags) {
    struct segment *from = descriptor_segment(in), *to = descriptor_segment(out);
    if (from != NULL && !presence_ensure(from, in, in_at != NULL ? *in_at : lseek(in, 0, SEEK_CUR), length)) return -1;
    if (to != NULL && !presence_ensure(to, out, out_at != NULL ? *out_at : lseek(out, 0, SEEK_CUR), length)) return -1;
    return system_copy_file_range(in, in_at, out, out_at, length, flags);
}

/* ---- truncate, unlink, rename ---- */

HOOK int ftruncate(int fd, off_t length) {
    struct segment *segment = descriptor_segment(fd);
    struct presence_truncation truncation = {.segment = NULL};
    if (segment != NULL && !presence_truncate_begin(&truncation, segment, fd, length)) return -1;
    int result = system_ftruncate(fd, length);
    presence_truncate_end(&truncation, result == 0);
    return result;
}

HOOK int truncate(const char *path, off_t length) {
    struct segment *segment = live_segment(AT_FDCWD, path);
    if (segment == NULL) return system_truncate(path, length);
    int fd = open_file(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0); /* a block that is cut in two must be fetched first */
    if (fd < 0) return -1;
    int result = ftruncate(fd, length), saved = errno;
    close(fd);
    errno = saved;
    return result;
}

HOOK int ftruncate64(int, off_t) HOOK_ALIAS(ftruncate);
HOOK int truncate64(const char *, off_t) HOOK_ALIAS(truncate);

/* First the file goes, then its slot dies: killed in between, the slot is live and has no file, which open_changing() knows to handle. */
HOOK int unlink(const char *path) {
    struct segment *segment = live_segment(AT_FDCWD, path);
    if (segment == NULL) return system_unlinkat(AT_FDCWD, path, 0);
    if (!presence_lock(segment)) return -1;
    int result = system_unlinkat(AT_FDCWD, path, 0), saved = errno;
    if (result == 0) presence_forget(segment);
    presence_unlock(segment);
    errno = saved;
    return result;
}

HOOK int rename(const char *from, const char *to) {
    if (live_segment(AT_FDCWD, from) != NULL || live_segment(AT_FDCWD, to) != NULL) {
        errno = EPERM; /* the map knows blocks by the file's name */
        return -1;
    }
    return system_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- io_uring ---- */

/*
 * A ring would read past the hooks. PostgreSQL 18 with io_method=io_uring must fail to start here rather than read zeroes; it reports ENOSYS well. These
 * are liburing's functions; a process where the library is not active gets the real ones.
 */
#define REFUSE_RING(name, parameters, ...)                                 \
    int name parameters;                                                   \
    HOOK int name parameters {                                             \
        if (library_active) return -ENOSYS;                                \
        int(*next) parameters = NULL;                                      \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                         \
        return next == NULL ? -ENOSYS : next(__VA_ARGS__);                 \
    }

REFUSE_RING(io_uring_queue_init, (unsigned entries, void *ring, unsigned flags), entries, ring, flags)
REFUSE_RING(io_uring_queue_init_params, (unsigned entries, void *ring, void *parameters), entries, ring, parameters)
REFUSE_RING(io_uring_queue_init_mem, (unsigned entries, void *ring, void *parameters, void *memory, size_t length), entries, ring, parameters, memory, length)
