/* What the hooks must do, one situation after the other. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"
#include "protocol.h"
#include "system.h"

#define REL 16384u
#define FILE_NAME "base/5/16384"

/* The flags PostgreSQL exports; patience.c finds them by name (this program is linked with -rdynamic). */
__attribute__((visibility("default"))) volatile sig_atomic_t QueryCancelPending;
__attribute__((visibility("default"))) volatile uint32_t CritSectionCount;

static int open_relation(int flags) {
    int fd = open(FILE_NAME, flags | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static uint32_t read_version(int fd, uint32_t block) {
    struct page page;
    CHECK(pread(fd, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE);
    return page_version(&page, REL, 0, block);
}

/* The version in the file itself, past the hooks; UINT32_MAX when it is a hole or torn. */
static uint32_t raw_version(const char *name, uint32_t block) {
    struct page page;
    int fd = system_openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    CHECK(fd >= 0 && system_pread(fd, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE);
    system_close(fd);
    return page_version(&page, REL, 0, block);
}

static void write_version(int fd, uint32_t block, uint32_t version) {
    struct page page;
    page_fill(&page, REL, 0, block, version);
    CHECK(pwrite(fd, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE);
}

static struct segment *segment_of(uint32_t rel) {
    struct segment_key key = {1663, 5, rel, 0, 0};
    struct segment *segment = map_find(&key);
    CHECK(segment != NULL);
    return segment;
}

static bool is_missing(uint32_t block) { return map_next_missing(segment_of(REL), block, block + 1) == block; }

static void read_fetches_and_installs(struct world *world) {
    int fd = open_relation(O_RDWR);
    CHECK(raw_version(FILE_NAME, 70) == UINT32_MAX);
    CHECK(read_version(fd, 70) == 0);
    CHECK(raw_version(FILE_NAME, 70) == 0 && !is_missing(70));
    uint32_t requests = world->control->requests;
    CHECK(read_version(fd, 70) == 0 && world->control->requests == requests);
    CHECK(segment_of(REL)->missing == 199);
    struct page page;
    CHECK(pread(fd, &page, BLOCK_SIZE, 200 * BLOCK_SIZE) == 0); /* the end of the file is where it was */
    int reader = open_relation(O_RDONLY);                       /* installs through another descriptor */
    CHECK(read_version(reader, 90) == 0 && raw_version(FILE_NAME, 90) == 0);
    CHECK(lseek(reader, 100 * BLOCK_SIZE, SEEK_SET) == 100 * BLOCK_SIZE && read(reader, &page, BLOCK_SIZE) == BLOCK_SIZE);
    CHECK(page_version(&page, REL, 0, 100) == 0);
    char byte; /* a part of a block across nothing */
    CHECK(pread(reader, &byte, 1, 150 * BLOCK_SIZE + 5000) == 1 && !is_missing(150));
}

static void vectors_and_readahead_batch(struct world *world) {
    static struct page pages[16];
    struct iovec parts[16];
    for (int i = 0; i < 16; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    int fd = open_relation(O_RDWR);
    for (uint32_t block = 0; block < 1024; block += 16) {
        CHECK(preadv(fd, parts, 16, (off_t)block * BLOCK_SIZE) == sizeof(pages));
        for (uint32_t i = 0; i < 16; i++) CHECK(page_version(&pages[i], REL, 0, block + i) == 0);
    }
    CHECK(world->control->requests <= 2 + 1024 / 128 + 2); /* 32, 64, then 128 at a time */
    CHECK(world->control->pages == 1024 && segment_of(REL)->missing == 0);
}

static void random_reads_do_not_read_ahead(struct world *world) {
    int fd = open_relation(O_RDWR);
    for (uint32_t i = 1; i <= 20; i++) CHECK(read_version(fd, i * 617 % 1000 + 20) == 0);
    CHECK(world->control->pages <= 24);
}

/* As the I/O workers of one scan read: the server is asked for each block once, and for as many at a time as of a scan in order. */
static void reads_of_a_scan_come_out_of_order(struct world *world) {
    static const uint32_t order[] = {16, 0, 32, 64, 48, 96, 80, 112};
    static struct page pages[16];
    struct iovec parts[16];
    for (int i = 0; i < 16; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    int fd = open_relation(O_RDWR);
    for (uint32_t block = 0; block < 1024; block += 128)
        for (uint32_t n = 0; n < 8; n++) {
            uint32_t at = block + order[n];
            CHECK(preadv(fd, parts, 16, (off_t)at * BLOCK_SIZE) == sizeof(pages));
            for (uint32_t i = 0; i < 16; i++) CHECK(page_version(&pages[i], REL, 0, at + i) == 0);
        }
    CHECK(world->control->requests <= 2 + 1024 / 128 + 2);
    CHECK(world->control->pages == 1024 && segment_of(REL)->missing == 0);
}

static void a_late_read_leaves_the_readahead_as_it_is(struct world *world) {
    static struct page pages[16];
    struct iovec parts[16];
    for (int i = 0; i < 16; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    int fd = open_relation(O_RDWR);
    CHECK(preadv(fd, parts, 16, 40 * BLOCK_SIZE) == sizeof(pages)); /* too far ahead to bring what is before it too */
    CHECK(world->control->pages == 32);
    CHECK(preadv(fd, parts, 16, 0) == sizeof(pages));
    CHECK(world->control->pages == 32 + 16);
    CHECK(preadv(fd, parts, 16, 72 * BLOCK_SIZE) == sizeof(pages));
    CHECK(world->control->pages == 32 + 16 + 64 && world->control->requests == 3);
}

static void small_segment_comes_whole(struct world *world) {
    int fd = open_relation(O_RDWR);
    CHECK(read_version(fd, 0) == 0 && world->control->requests == 1 && world->control->pages == 20 && segment_of(REL)->missing == 0);
}

/* Blocks of a relation are counted on from one segment to the next, those of a file are not. */
static void a_second_segment_begins_behind_the_first(struct world *world) {
    int fd = open_relation(O_RDWR), second_fd = open(FILE_NAME ".1", O_RDWR | O_CLOEXEC);
    struct segment *second = map_find(&(struct segment_key){1663, 5, REL, 0, 1});
    struct page page;
    CHECK(second_fd >= 0 && second != NULL);
    CHECK(read_version(fd, SEGMENT_BLOCKS - 1) == 0 && world->control->pages == 1); /* nothing lies behind it in this file */
    for (uint32_t block = 0; block < 40; block++) {
        CHECK(pread(second_fd, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE);
        CHECK(page_version(&page, REL, 0, SEGMENT_BLOCKS + block) == 0);
    }
    CHECK(segment_of(REL)->missing == SEGMENT_BLOCKS - 1 && second->missing <= 160);
    world->control->fail_block = SEGMENT_BLOCKS + 199;
    world->control->fail_status = STATUS_PAGE_NOT_REBUILT;
    world->control->fail_times = 1000;
    int said[2], standard_error = dup(STDERR_FILENO);
    CHECK(pipe(said) == 0 && dup2(said[1], STDERR_FILENO) >= 0);
    ssize_t got = pread(second_fd, &page, BLOCK_SIZE, 199 * BLOCK_SIZE);
    int problem = errno;
    CHECK(dup2(standard_error, STDERR_FILENO) >= 0 && close(said[1]) == 0 && got == -1 && problem == EIO);
    char line[512] = "";
    CHECK(read(said[0], line, sizeof(line) - 1) > 0 && strstr(line, "cannot read block 131271 of base/5/16384 at") != NULL);
    CHECK(ftruncate(second_fd, 0) == 0 && second->remote == 0 && segment_of(REL)->remote == SEGMENT_BLOCKS);
    CHECK(unlink(FILE_NAME ".1") == 0 && second->state == SEGMENT_DEAD && segment_of(REL)->state == SEGMENT_LIVE);
    CHECK(read_version(fd, 0) == 0);
}

static void write_makes_local(struct world *world) {
    int fd = open_relation(O_RDWR);
    write_version(fd, 50, 7);
    CHECK(world->control->connections == 0 && read_version(fd, 50) == 7); /* a whole block needs nothing from the server */
    static struct page pages[4];
    struct iovec parts[4];
    for (uint32_t i = 0; i < 4; i++) {
        page_fill(&pages[i], REL, 0, 48 + i, 9);
        parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    }
    CHECK(pwritev(fd, parts, 4, 48 * BLOCK_SIZE) == sizeof(pages));
    CHECK(read_version(fd, 47) == 0); /* reads ahead over the local ones without harm */
    for (uint32_t block = 48; block < 52; block++) CHECK(read_version(fd, block) == 9);
    CHECK(lseek(fd, 60 * BLOCK_SIZE, SEEK_SET) >= 0);
    page_fill(&pages[0], REL, 0, 60, 3);
    CHECK(write(fd, &pages[0], BLOCK_SIZE) == BLOCK_SIZE && read_version(fd, 60) == 3 && lseek(fd, 0, SEEK_CUR) == 61 * BLOCK_SIZE);
    CHECK(pwrite(fd, "x", 1, 100 * BLOCK_SIZE + 17) == 1); /* the rest of that block is the server's */
    struct page page, expected;
    page_fill(&expected, REL, 0, 100, 0);
    ((char *)&expected)[17] = 'x';
    CHECK(pread(fd, &page, BLOCK_SIZE, 100 * BLOCK_SIZE) == BLOCK_SIZE && memcmp(&page, &expected, BLOCK_SIZE) == 0);
    write_version(fd, 200, 1); /* growing */
    CHECK(read_version(fd, 200) == 1);
    CHECK(posix_fallocate(fd, 201 * BLOCK_SIZE, BLOCK_SIZE) == 0 && read_version(fd, 201) == UINT32_MAX);
}

static void truncation_forgets(struct world *world) {
    int fd = open_relation(O_RDWR);
    CHECK(ftruncate(fd, 100 * BLOCK_SIZE) == 0 && segment_of(REL)->remote == 100 && segment_of(REL)->missing == 100);
    CHECK(ftruncate(fd, 200 * BLOCK_SIZE) == 0);
    CHECK(read_version(fd, 150) == UINT32_MAX && world->control->connections == 0); /* a local page of zeroes: it was truncated */
    CHECK(read_version(fd, 99) == 0);
    CHECK(ftruncate(fd, 50 * BLOCK_SIZE + 100) == 0); /* cuts a missing block in two */
    uint32_t rel;
    CHECK(pread(fd, &rel, 4, 50 * BLOCK_SIZE + 16) == 4 && rel == REL);
    int reader = open_relation(O_RDONLY);
    uint32_t missing = segment_of(REL)->missing;
    CHECK(ftruncate(reader, 30 * BLOCK_SIZE + 100) == -1 && segment_of(REL)->remote == 51); /* failed: but for the block it cuts in two, which was fetched, all is as before */
    CHECK(segment_of(REL)->missing == missing - 1 && read_version(fd, 40) == 0 && segment_of(REL)->missing < missing - 1);
    CHECK(ftruncate(reader, 0) == -1 && read_version(fd, 20) == 0 && segment_of(REL)->remote == 51); /* nothing is forgotten */
    CHECK(truncate(FILE_NAME, 10 * BLOCK_SIZE) == 0 && segment_of(REL)->remote == 10);
    CHECK(truncate(FILE_NAME, 0) == 0 && segment_of(REL)->missing == 0);
}

static void a_write_over_a_truncation_keeps_the_count(struct world *world) {
    int fd = open_relation(O_RDWR);
    struct segment *segment = segment_of(REL);
    CHECK(ftruncate(fd, 100 * BLOCK_SIZE) == 0);
    CHECK(map_lock(segment, 90, 120)); /* as a writer that looked before the truncation and locks after it */
    CHECK(map_set_present(segment, 90, 120) == 10 && segment->missing == 90);
    map_unlock(segment, 90, 120);
    for (uint32_t block = 0; block < 90; block++) CHECK(read_version(fd, block) == 0);
    CHECK(segment->missing == 0 && world->control->pages >= 90);
}

static void unlink_and_create_start_anew(struct world *world) {
    int old = open_relation(O_RDWR);
    CHECK(unlink(FILE_NAME) == 0 && segment_of(REL)->state == SEGMENT_DEAD);
    CHECK(read_version(old, 30) == 0); /* who still has it open still reads it */
    int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    write_version(fd, 0, 4);
    CHECK(ftruncate(fd, 40 * BLOCK_SIZE) == 0);
    uint32_t requests = world->control->requests;
    CHECK(read_version(fd, 0) == 4 && read_version(fd, 31) == UINT32_MAX && world->control->requests == requests);
    CHECK(unlink("base/5/16385") == 0 && unlink("base/5/16385") == -1 && errno == ENOENT);
}

static void creation_over_a_vanished_file_is_local(struct world *world) {
    CHECK(system_unlinkat(AT_FDCWD, FILE_NAME, 0) == 0); /* as a process killed inside of unlink() leaves it */
    CHECK(segment_of(REL)->state == SEGMENT_LIVE);
    int fd = open(FILE_NAME, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && segment_of(REL)->state == SEGMENT_DEAD && ftruncate(fd, 10 * BLOCK_SIZE) == 0);
    CHECK(read_version(fd, 3) == UINT32_MAX && world->control->connections == 0);
}

static void open_flags(struct world *world) {
    (void)world;
    CHECK(open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
    int fd = open(FILE_NAME, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && read_version(fd, 5) == 0);
    CHECK(open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0600) == -1 && segment_of(REL)->remote == 200);
    int truncated = open(FILE_NAME, O_RDWR | O_TRUNC);
    struct stat status;
    CHECK(truncated >= 0 && fstat(truncated, &status) == 0 && status.st_size == 0 && segment_of(REL)->remote == 0);
}

static void names_of_every_kind(struct world *world) {
    static const char *const names[] = {"./base/5/16384", "base//5/16384", "../data/base/5/16384"};
    char absolute[160];
    snprintf(absolute, sizeof(absolute), "%s/base/5/16384", world->data);
    uint32_t block = 190; /* backwards: nothing is read ahead */
    for (int i = 0; i < 4; i++, block -= 40) {
        int fd = open(i < 3 ? names[i] : absolute, O_RDONLY);
        CHECK(fd >= 0 && read_version(fd, block) == 0);
        close(fd);
    }
    struct page page;
    int vm = open("base/5/16384_vm", O_RDWR), shared = openat(AT_FDCWD, "global/1262", O_RDWR), elsewhere = open64("pg_tblspc/16400/PG_18_1/5/16390", O_RDWR);
    CHECK(pread(vm, &page, BLOCK_SIZE, 0) == BLOCK_SIZE && page_version(&page, REL, 2, 0) == 0);
    CHECK(pread64(shared, &page, BLOCK_SIZE, 0) == BLOCK_SIZE && page_version(&page, 1262, 0, 0) == 0);
    CHECK(pread(elsewhere, &page, BLOCK_SIZE, 0) == BLOCK_SIZE && page_version(&page, 16390, 0, 0) == 0);
    /* The same tail below another directory is another file. */
    CHECK(chdir(world->directory) == 0 && mkdir("base", 0700) == 0 && mkdir("base/5", 0700) == 0);
    int stranger = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(stranger >= 0 && ftruncate(stranger, 20 * BLOCK_SIZE) == 0 && read_version(stranger, 10) == UINT32_MAX);
    CHECK(segment_of(REL)->state == SEGMENT_LIVE);
    CHECK(unlink(FILE_NAME) == 0 && segment_of(REL)->state == SEGMENT_LIVE);
}

static void streams_copies_and_renames(struct world *world) {
    struct page page;
    FILE *stream = fopen(FILE_NAME, "r");
    CHECK(stream != NULL && segment_of(REL)->missing == 0);
    for (uint32_t block = 0; block < 200; block++) CHECK(fread(&page, BLOCK_SIZE, 1, stream) == 1 && page_version(&page, REL, 0, block) == 0);
    fclose(stream);
    CHECK(fopen("base/5/16385", "w") == NULL && errno == EPERM);
    CHECK(rename("base/5/16385", "base/5/99") == -1 && errno == EPERM);
    CHECK(rename("base/5/99", "base/5/16385") == -1 && errno == EPERM);
    int from = open("base/5/16385", O_RDONLY), to = open("base/5/90000", O_RDWR | O_CREAT | O_EXCL, 0600);
    size_t left = 300 * BLOCK_SIZE;
    while (left > 0) {
        ssize_t copied = copy_file_range(from, NULL, to, NULL, left, 0);
        CHECK(copied > 0);
        left -= (size_t)copied;
    }
    for (uint32_t block = 0; block < 300; block++) {
        CHECK(pread(to, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE && page_version(&page, 16385, 0, block) == 0);
    }
    CHECK(rename("base/5/90000", "base/5/90001") == 0); /* a local file is nobody's concern */
    CHECK(world->control->pages == 500);
}

static void a_bad_page_fails_alone(struct world *world) {
    int fd = open_relation(O_RDWR);
    struct page page;
    world->control->fail_block = 40;
    world->control->fail_times = 1000;
    for (uint32_t status = STATUS_NO_SUCH_BLOCK; status <= STATUS_PAGE_NOT_REBUILT; status++) {
        world->control->fail_status = status;
        uint64_t begun = now_ms();
        CHECK(pread(fd, &page, BLOCK_SIZE, 40 * BLOCK_SIZE) == -1 && errno == EIO && now_ms() - begun < 1000);
    }
    for (uint32_t block = 0; block < 80; block++)
        if (block != 40) CHECK(read_version(fd, block) == 0);
    CHECK(is_missing(40) && raw_version(FILE_NAME, 40) == UINT32_MAX && map_header()->counters.failures == 2);
    world->control->fail_status = 0;
    CHECK(read_version(fd, 40) == 0);
}

static void a_bad_page_that_is_due_before_fails_alone(struct world *world) {
    static struct page pages[16];
    struct iovec parts[16];
    for (int i = 0; i < 16; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    int fd = open_relation(O_RDWR);
    world->control->fail_block = 5;
    world->control->fail_times = 1000;
    world->control->fail_status = STATUS_PAGE_NOT_REBUILT;
    CHECK(preadv(fd, parts, 16, 16 * BLOCK_SIZE) == sizeof(pages)); /* asks for the 16 blocks before as well, in vain */
    for (uint32_t i = 0; i < 16; i++) CHECK(page_version(&pages[i], REL, 0, 16 + i) == 0);
    CHECK(world->control->fail_times == 999 && world->control->requests == 1 && is_missing(5) && map_header()->counters.failures == 0);
}

static void a_bad_page_that_was_written_since_fails_nobody(struct world *world) {
    static struct page pages[16];
    struct iovec parts[16];
    for (int i = 0; i < 16; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
    int fd = open_relation(O_RDWR);
    write_version(fd, 40, 7);
    world->control->fail_block = 40;
    world->control->fail_times = 1000;
    world->control->fail_status = STATUS_PAGE_NOT_REBUILT;
    CHECK(preadv(fd, parts, 16, 32 * BLOCK_SIZE) == sizeof(pages)); /* asks for the block in the midst as well, in vain */
    for (uint32_t i = 0; i < 16; i++) CHECK(page_version(&pages[i], REL, 0, 32 + i) == (i == 8 ? 7 : 0));
    CHECK(map_header()->counters.failures == 0);
}

static void passing_trouble_is_waited_out(struct world *world) {
    int fd = open_relation(O_RDWR);
    world->control->fail_block = 10;
    world->control->fail_status = STATUS_SHUTTING_DOWN;
    world->control->fail_times = 3;
    CHECK(read_version(fd, 10) == 0 && world->control->connections == 4);
    world->control->fail_block = 30;
    world->control->fail_status = STATUS_LSN_NOT_AVAILABLE;
    world->control->fail_times = 2;
    CHECK(read_version(fd, 30) == 0);
    world->control->drop_one_in = 2;
    for (uint32_t block = 199; block >= 100; block -= 3) CHECK(read_version(fd, block) == 0);
    CHECK(world->control->drops > 0 && map_header()->counters.reconnects > 0 && map_header()->counters.failures == 0);
}

static void the_deadline_ends_the_wait(struct world *world) {
    int fd = open_relation(O_RDWR);
    struct page page;
    for (uint32_t garbage = 1; garbage <= 3; garbage++) {
        world->control->garbage = garbage;
        CHECK(pread(fd, &page, BLOCK_SIZE, 10 * BLOCK_SIZE) == -1 && errno == EIO);
    }
    world->control->garbage = 0;
    world->control->delay_us = 2000000;
    uint64_t begun = now_ms();
    CHECK(pread(fd, &page, BLOCK_SIZE, 10 * BLOCK_SIZE) == -1 && errno == EIO);
    CHECK(now_ms() - begun >= 700 && now_ms() - begun < 2000 && is_missing(10));
    world->control->delay_us = 0;
    world->control->hello_status = STATUS_NO_SUCH_TIMELINE;
    begun = now_ms();
    CHECK(pread(fd, &page, BLOCK_SIZE, 10 * BLOCK_SIZE) == -1 && errno == EIO && now_ms() - begun < 2500);
    world->control->hello_status = STATUS_OK;
    CHECK(read_version(fd, 10) == 0);
    CHECK(unlink(world->socket) == 0); /* nobody can connect any more, but a connection that exists goes on */
    CHECK(read_version(fd, 30) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) { /* needs a connection of its own */
        CHECK(pread(fd, &page, BLOCK_SIZE, 50 * BLOCK_SIZE) == -1 && errno == EIO);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void set_cancel(int signal_number) {
    (void)signal_number;
    QueryCancelPending = 1;
}

static void a_cancelled_wait_ends(struct world *world) {
    CHECK(QueryCancelPending == 0 && CritSectionCount == 0);
    int fd = open_relation(O_RDWR);
    struct page page;
    signal(SIGALRM, set_cancel);
    world->control->delay_us = 60000000;
    alarm(2);
    uint64_t begun = now_ms();
    CHECK(pread(fd, &page, BLOCK_SIZE, 0) == -1 && errno == ECANCELED && now_ms() - begun >= 1500 && now_ms() - begun < 10000);
    CritSectionCount = 1; /* there an error would be a panic: only the deadline ends it */
    begun = now_ms();
    CHECK(pread(fd, &page, BLOCK_SIZE, 0) == -1 && errno == EIO && now_ms() - begun >= 3500);
}

static void children_have_their_own(struct world *world) {
    int fd = open_relation(O_RDWR);
    CHECK(read_version(fd, 0) == 0);
    pid_t children[8];
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            for (uint32_t block = 0; block < 2000; block++) CHECK(read_version(fd, (block * 7 + (uint32_t)i * 250) % 2000) == 0);
            _exit(0);
        }
    }
    for (uint32_t block = 2000; block-- > 0;) CHECK(read_version(fd, block) == 0);
    for (int i = 0; i < 8; i++) {
        int status;
        CHECK(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK(segment_of(REL)->missing == 0 && world->control->connections >= 2 && world->control->connections <= 9 && map_header()->counters.blocks_installed == 2000);
}

static void hints_prefetch(struct world *world) {
    (void)world;
    int fd = open_relation(O_RDWR);
    CHECK(read_version(fd, 999) == 0); /* connects */
    for (uint32_t block = 100; block < 900; block += 100) CHECK(posix_fadvise(fd, (off_t)block * BLOCK_SIZE, 4 * BLOCK_SIZE, POSIX_FADV_WILLNEED) == 0);
    write_version(fd, 301, 5); /* written before the answer comes: stays */
    CHECK(ftruncate(fd, 800 * BLOCK_SIZE) == 0);
    for (uint32_t block = 100; block < 800; block += 100)
        for (uint32_t i = 0; i < 4; i++) CHECK(read_version(fd, block + i) == (block + i == 301 ? 5 : 0));
    uint32_t requests = map_header()->counters.requests;
    CHECK(requests >= 8 && requests <= 10); /* the reads asked for nothing more */
    CHECK(posix_fadvise(fd, 500 * BLOCK_SIZE, BLOCK_SIZE, POSIX_FADV_WILLNEED) == 0);
    int other = open("base/5/16385", O_RDWR);
    close(fd); /* its answer is thrown away */
    struct page page;
    CHECK(pread(other, &page, BLOCK_SIZE, 5 * BLOCK_SIZE) == BLOCK_SIZE && page_version(&page, 16385, 0, 5) == 0);
}

#define RELATIONS(name, ...) static const struct relation name[] = {__VA_ARGS__}
RELATIONS(medium, {{1663, 5, REL, 0, 0}, 200}, {{1663, 5, 16385, 0, 0}, 300}, {{1663, 5, REL, 2, 0}, 40}, {{1664, 0, 1262, 0, 0}, 40}, {{16400, 5, 16390, 0, 0}, 40});
RELATIONS(large, {{1663, 5, REL, 0, 0}, 1024}, {{1663, 5, 16385, 0, 0}, 300});
RELATIONS(shared_by_many, {{1663, 5, REL, 0, 0}, 2000});
RELATIONS(two_segments, {{1663, 5, REL, 0, 0}, SEGMENT_BLOCKS}, {{1663, 5, REL, 0, 1}, 200});
RELATIONS(small, {{1663, 5, REL, 0, 0}, 20});
RELATIONS(tortured, {{1663, 5, 16384, 0, 0}, 700}, {{1663, 5, 16385, 0, 0}, 3000}, {{1663, 5, 16386, 2, 0}, 65}, {{1663, 5, 16387, 0, 0}, 30}, {{1664, 0, 16388, 0, 0}, 128}, {{16400, 5, 16389, 0, 0}, 1000});

#define CASE(function, relations, deadline, readahead) {#function, function, relations, (int)(sizeof(relations) / sizeof(relations[0])), deadline, readahead, 1}
const struct test_case test_cases[] = {
    CASE(read_fetches_and_installs, medium, 10000, 128),
    CASE(vectors_and_readahead_batch, large, 10000, 128),
    CASE(random_reads_do_not_read_ahead, large, 10000, 128),
    CASE(reads_of_a_scan_come_out_of_order, large, 10000, 128),
    CASE(a_late_read_leaves_the_readahead_as_it_is, large, 10000, 128),
    CASE(small_segment_comes_whole, small, 10000, 128),
    CASE(a_second_segment_begins_behind_the_first, two_segments, 10000, 128),
    CASE(write_makes_local, medium, 10000, 128),
    CASE(truncation_forgets, medium, 10000, 128),
    CASE(a_write_over_a_truncation_keeps_the_count, medium, 10000, 128),
    CASE(unlink_and_create_start_anew, medium, 10000, 128),
    CASE(creation_over_a_vanished_file_is_local, medium, 10000, 128),
    CASE(open_flags, medium, 10000, 128),
    CASE(names_of_every_kind, medium, 10000, 128),
    CASE(streams_copies_and_renames, medium, 10000, 128),
    CASE(a_bad_page_fails_alone, medium, 10000, 128),
    CASE(a_bad_page_that_is_due_before_fails_alone, medium, 10000, 128),
    CASE(a_bad_page_that_was_written_since_fails_nobody, medium, 10000, 128),
    CASE(passing_trouble_is_waited_out, medium, 10000, 1),
    CASE(the_deadline_ends_the_wait, medium, 800, 1),
    CASE(a_cancelled_wait_ends, medium, 4000, 1),
    CASE(children_have_their_own, shared_by_many, 10000, 128),
    CASE(hints_prefetch, large, 10000, 1),
    {"torture", torture, tortured, (int)(sizeof(tortured) / sizeof(tortured[0])), 20000, 64, 6},
};
const int test_case_count = sizeof(test_cases) / sizeof(test_cases[0]);
