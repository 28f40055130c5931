/*
 * The system calls behind the hooks. The library calls the kernel itself rather than the next definition of the same symbol: nothing to look up, so
 * hooks work from the first instruction of a process, also before this library's own constructor ran.
 */
#ifndef ZENITH_SYSTEM_H
#define ZENITH_SYSTEM_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8 && sizeof(off_t) == 8, "64-bit systems only: an offset is one argument of a system call");

static inline int system_openat(int directory, const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, directory, path, flags, mode);
}
static inline int system_close(int fd) { return (int)syscall(SYS_close, fd); }
static inline ssize_t system_read(int fd, void *bytes, size_t length) { return syscall(SYS_read, fd, bytes, length); }
static inline ssize_t system_write(int fd, const void *bytes, size_t length) { return syscall(SYS_write, fd, bytes, length); }
static inline ssize_t system_pread(int fd, void *bytes, size_t length, off_t at) { return syscall(SYS_pread64, fd, bytes, length, at); }
static inline ssize_t system_pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}
static inline ssize_t system_preadv(int fd, const struct iovec *parts, int count, off_t at) {
    return syscall(SYS_preadv, fd, parts, (long)count, at, 0L);
}
static inline ssize_t system_pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return syscall(SYS_pwritev, fd, parts, (long)count, at, 0L);
}
static inline int system_ftruncate(int fd, off_t length) { return (int)syscall(SYS_ftruncate, fd, length); }
static inline int system_truncate(const char *path, off_t length) { return (int)syscall(SYS_truncate, path, length); }
static inline int system_unlinkat(int directory, const char *path, int flags) { return (int)syscall(SYS_unlinkat, directory, path, flags); }
static inline int system_renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 0);
}
static inline int system_fadvise(int fd, off_t at, off_t length, int advice) { return (int)syscall(SYS_fadvise64, fd, at, length, advice); }
static inline ssize_t system_copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t length, unsigned flags) {
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, length, flags);
}

#endif
