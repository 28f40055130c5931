/*
 * Processes that read, write, truncate, grow and drop the same relations at once, forked from one as PostgreSQL's are, interrupted by signals all the time
 * and killed with SIGKILL at any moment, while the page server delays and cuts connections. A model in shared memory says what every block must be. As in
 * PostgreSQL, two processes never read and write the same block at once (locks on a file of the test, which die with their process), but neighbours are
 * free to, and a fetch covers many neighbours.
 *
 * A process killed inside of an operation leaves its intention in the model. A write may then have happened or not. A truncation or a drop is done again
 * before anything else, as the WAL's replay would.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"

#define RELATIONS 6
#define BLOCKS_MAX 3500u
#define WORKERS 8
#define NOTHING UINT32_MAX
#define ZEROES 0x40000000u /* the version of a page that came to be by growing the file */

enum intention { NONE, TRUNCATE, DROP };

struct model {
    struct {
        _Atomic uint32_t blocks, generation, intention, intended_blocks;
        struct {
            _Atomic uint32_t version, intended; /* NOTHING: no write is under way */
        } block[BLOCKS_MAX];
    } relation[RELATIONS];
    _Atomic uint32_t stop, reads, writes, truncations, drops, uncertain, torn;
};

static const struct {
    const char *path;
    uint32_t rel, fork, blocks;
} relations[RELATIONS] = {{"base/5/16384", 16384, 0, 700}, {"base/5/16385", 16385, 0, 3000},  {"base/5/16386_vm", 16386, 2, 65},
                          {"base/5/16387", 16387, 0, 30},  {"global/16388", 16388, 0, 128}, {"pg_tblspc/16400/PG_18_1/5/16389", 16389, 0, 1000}};

static struct model *model;
static int lock_file = -1;
static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

/* Every system call of the library comes through here (--wrap=syscall): now and then it starts late, so that narrow windows are hit. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (lock_file >= 0 && (number == SYS_pwrite64 || number == SYS_pread64 || number == SYS_preadv || number == SYS_ftruncate) && random_below(16) == 0) {
        int saved = errno;
        usleep(random_below(400));
        errno = saved;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

static void lock_blocks(uint32_t relation, uint32_t first, uint32_t count, short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = relation * 10000 + first, .l_len = count};
    while (fcntl(lock_file, F_OFD_SETLKW, &range) != 0) CHECK(errno == EINTR);
}

static int open_file(uint32_t relation, int flags) {
    int fd = open(relations[relation].path, flags | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    return fd;
}

/* With the whole relation locked: cuts to `blocks` and grows by a few new blocks. */
static void truncate_to(uint32_t relation, uint32_t blocks) {
    model->relation[relation].intended_blocks = blocks;
    model->relation[relation].intention = TRUNCATE;
    if (random_below(2) == 0) {
        CHECK(truncate(relations[relation].path, (off_t)blocks * BLOCK_SIZE) == 0);
    } else {
        int fd = open_file(relation, O_RDWR);
        CHECK(ftruncate(fd, (off_t)blocks * BLOCK_SIZE) == 0);
        close(fd);
    }
    model->relation[relation].blocks = blocks;
    model->relation[relation].intention = NONE;
    model->truncations++;
}

static void drop_and_create(uint32_t relation) {
    model->relation[relation].intention = DROP;
    if (unlink(relations[relation].path) != 0) CHECK(errno == ENOENT);
    close(open_file(relation, O_RDWR | O_CREAT | O_EXCL));
    model->relation[relation].blocks = 0;
    model->relation[relation].generation++;
    model->relation[relation].intention = NONE;
    model->drops++;
}

static void redo(uint32_t relation) {
    if (model->relation[relation].intention == TRUNCATE) truncate_to(relation, model->relation[relation].intended_blocks);
    if (model->relation[relation].intention == DROP) drop_and_create(relation);
}

static uint32_t version_of(uint32_t relation, const struct page *page, uint32_t block) {
    static const struct page zeroes;
    if (memcmp(page, &zeroes, sizeof(zeroes)) == 0) return ZEROES;
    return page_version(page, relations[relation].rel, relations[relation].fork, block);
}

/*
 * A write that SIGKILL meets in the kernel may end between two of its 4096-byte pages, on any PostgreSQL. Only a page a killed process was writing may be
 * such a mixture of the version before and the one intended.
 */
static bool is_torn(uint32_t relation, const struct page *page, uint32_t block, uint32_t version, uint32_t intended) {
    struct page mixture, other;
    uint32_t rel = relations[relation].rel, fork = relations[relation].fork;
    page_fill(&mixture, rel, fork, block, intended);
    page_fill(&other, rel, fork, block, version);
    if (version == ZEROES) memset(&other, 0, sizeof(other));
    memcpy((char *)&mixture + 4096, (char *)&other + 4096, 4096);
    return memcmp(page, &mixture, sizeof(mixture)) == 0;
}

static void check_blocks(uint32_t relation, const struct page *pages, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t found = version_of(relation, &pages[i], first + i);
        uint32_t version = model->relation[relation].block[first + i].version, intended = model->relation[relation].block[first + i].intended;
        if (intended != NOTHING) model->uncertain++;
        if (found == version || (intended != NOTHING && found == intended)) continue;
        if (intended != NOTHING && is_torn(relation, &pages[i], first + i, version, intended)) {
            model->torn++;
            continue;
        }
        fprintf(stderr, "torture: %s block %u has version %x, expected %x (or %x)\n", relations[relation].path, first + i, found, version, intended);
        abort();
    }
}

static void read_some(uint32_t relation, int fd, uint32_t first, uint32_t count) {
    static struct page pages[32];
    struct iovec parts[32];
    ssize_t got;
    if (random_below(8) == 0) posix_fadvise(fd, (off_t)first * BLOCK_SIZE, (off_t)count * BLOCK_SIZE, POSIX_FADV_WILLNEED);
    if (random_below(4) == 0) {
        CHECK(lseek(fd, (off_t)first * BLOCK_SIZE, SEEK_SET) >= 0);
        got = read(fd, pages, count * BLOCK_SIZE);
    } else {
        for (uint32_t i = 0; i < count; i++) parts[i] = (struct iovec){&pages[i], BLOCK_SIZE};
        got = preadv(fd, parts, (int)count, (off_t)first * BLOCK_SIZE);
    }
    CHECK(got == (ssize_t)(count * BLOCK_SIZE));
    check_blocks(relation, pages, first, count);
    model->reads++;
}

/* With these blocks locked. */
static void write_some(uint32_t relation, int fd, uint32_t first, uint32_t count) {
    static struct page pages[32];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t next = model->relation[relation].block[first + i].version + 1, intended = model->relation[relation].block[first + i].intended;
        if (intended != NOTHING && intended >= next) next = intended + 1; /* of a killed writer */
        page_fill(&pages[i], relations[relation].rel, relations[relation].fork, first + i, next);
    }
    for (uint32_t i = 0; i < count; i++) {
        /* After a killed write the page is one of two versions or torn; the model can only hold one more. Do it again first, as replay would. */
        uint32_t intended = model->relation[relation].block[first + i].intended;
        if (intended != NOTHING) {
            struct page page;
            CHECK(pread(fd, &page, BLOCK_SIZE, (off_t)(first + i) * BLOCK_SIZE) == BLOCK_SIZE);
            check_blocks(relation, &page, first + i, 1);
            page_fill(&page, relations[relation].rel, relations[relation].fork, first + i, intended);
            CHECK(pwrite(fd, &page, BLOCK_SIZE, (off_t)(first + i) * BLOCK_SIZE) == BLOCK_SIZE);
            model->relation[relation].block[first + i].version = intended;
        }
        model->relation[relation].block[first + i].intended = pages[i].words[0].version;
    }
    CHECK(pwrite(fd, pages, count * BLOCK_SIZE, (off_t)first * BLOCK_SIZE) == (ssize_t)(count * BLOCK_SIZE));
    for (uint32_t i = 0; i < count; i++) {
        model->relation[relation].block[first + i].version = pages[i].words[0].version;
        model->relation[relation].block[first + i].intended = NOTHING;
    }
    model->writes++;
}

/* With the whole relation locked: new blocks at the end, as PostgreSQL extends. */
static void grow(uint32_t relation) {
    uint32_t blocks = model->relation[relation].blocks, count = 1 + random_below(16);
    if (blocks + count > BLOCKS_MAX) return;
    int fd = open_file(relation, O_RDWR);
    CHECK(ftruncate(fd, (off_t)blocks * BLOCK_SIZE) == 0); /* what a killed grower left */
    for (uint32_t i = 0; i < count; i++) model->relation[relation].block[blocks + i].intended = NOTHING;
    if (random_below(2) == 0) {
        CHECK(posix_fallocate(fd, (off_t)blocks * BLOCK_SIZE, (off_t)count * BLOCK_SIZE) == 0);
        for (uint32_t i = 0; i < count; i++) model->relation[relation].block[blocks + i].version = ZEROES;
    } else {
        write_some(relation, fd, blocks, count);
    }
    close(fd);
    model->relation[relation].blocks = blocks + count;
}

static void operate(void) {
    static int fds[RELATIONS] = {-1, -1, -1, -1, -1, -1};
    static uint32_t generations[RELATIONS];
    uint32_t relation = random_below(RELATIONS), kind = random_below(1000);
    if (kind < 40 || model->relation[relation].intention != NONE) {
        lock_blocks(relation, 0, 10000, F_WRLCK);
        redo(relation);
        uint32_t blocks = model->relation[relation].blocks;
        if (kind == 0 && random_below(20) == 0)
            drop_and_create(relation);
        else if (kind < 4 && blocks > 0)
            truncate_to(relation, blocks - random_below(blocks < 20 ? blocks : 20));
        else
            grow(relation);
        lock_blocks(relation, 0, 10000, F_UNLCK);
        return;
    }
    lock_blocks(relation, 9999, 1, F_RDLCK); /* no truncation, no growth */
    uint32_t blocks = model->relation[relation].blocks;
    if (blocks > 0 && model->relation[relation].intention == NONE) {
        if (fds[relation] >= 0 && (generations[relation] != model->relation[relation].generation || random_below(50) == 0)) {
            close(fds[relation]);
            fds[relation] = -1;
        }
        if (fds[relation] < 0) fds[relation] = open_file(relation, O_RDWR);
        generations[relation] = model->relation[relation].generation;
        uint32_t first = random_below(blocks), count = 1 + random_below(kind % 3 == 0 ? 1 : 16);
        if (count > blocks - first) count = blocks - first;
        bool writes = kind % 8 == 0;
        lock_blocks(relation, first, count, writes ? F_WRLCK : F_RDLCK);
        if (writes)
            write_some(relation, fds[relation], first, count);
        else
            read_some(relation, fds[relation], first, count);
        lock_blocks(relation, first, count, F_UNLCK);
    }
    lock_blocks(relation, 9999, 1, F_UNLCK);
}

static void interrupted(int signal_number) { (void)signal_number; }

static pid_t start_worker(const struct world *world, uint64_t seed) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) return child;
    char path[128];
    snprintf(path, sizeof(path), "%s/locks", world->directory);
    lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(lock_file >= 0);
    struct sigaction action = {.sa_handler = interrupted}; /* no SA_RESTART: everything is interrupted */
    sigaction(SIGUSR1, &action, NULL);
    random_state = seed;
    while (!model->stop) operate();
    _exit(0);
}

static void check_everything(void) {
    for (uint32_t relation = 0; relation < RELATIONS; relation++) {
        lock_blocks(relation, 0, 10000, F_WRLCK);
        redo(relation);
        int fd = open_file(relation, O_RDWR);
        for (uint32_t block = 0, blocks = model->relation[relation].blocks; block < blocks; block++) {
            struct page page;
            CHECK(pread(fd, &page, BLOCK_SIZE, (off_t)block * BLOCK_SIZE) == BLOCK_SIZE);
            check_blocks(relation, &page, block, 1);
        }
        close(fd);
        lock_blocks(relation, 0, 10000, F_UNLCK);
    }
}

void torture(struct world *world) {
    const char *seconds = getenv("TORTURE_SECONDS"), *seed_text = getenv("TORTURE_SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : (uint64_t)now_ms() * 1000003 + (uint64_t)getpid();
    uint64_t until = now_ms() + (seconds != NULL ? strtoull(seconds, NULL, 10) : 2) * 1000;
    random_state = seed;
    model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(model != MAP_FAILED);
    for (uint32_t relation = 0; relation < RELATIONS; relation++) {
        model->relation[relation].blocks = relations[relation].blocks;
        for (uint32_t block = 0; block < BLOCKS_MAX; block++) model->relation[relation].block[block].intended = NOTHING;
    }
    world->control->delay_random_us = 300;
    world->control->drop_one_in = 40;
    int fd = open_file(0, O_RDWR); /* so that the workers inherit a connection and a lock file, and must not use them */
    read_some(0, fd, 100, 1);
    close(fd);
    signal(SIGUSR1, SIG_IGN); /* until a worker has its handler */
    pid_t workers[WORKERS];
    uint32_t kills = 0;
    for (int i = 0; i < WORKERS; i++) workers[i] = start_worker(world, seed + (uint64_t)i);
    while (now_ms() < until) {
        usleep(200 + random_below(1500));
        uint32_t victim = random_below(WORKERS);
        int status;
        CHECK(waitpid(-1, &status, WNOHANG) == 0); /* none ends by itself: a failed check would abort it */
        kill(workers[victim], SIGUSR1);
        if (random_below(6) != 0) continue;
        kill(workers[victim], SIGKILL);
        CHECK(waitpid(workers[victim], &status, 0) == workers[victim] && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        workers[victim] = start_worker(world, seed + 1000 + kills++);
    }
    model->stop = 1;
    for (int i = 0; i < WORKERS; i++) {
        int status;
        CHECK(waitpid(workers[i], &status, 0) == workers[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    char path[128];
    snprintf(path, sizeof(path), "%s/locks", world->directory);
    lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    check_everything();
    check_everything(); /* now nothing is missing any more */
    const struct map_counters *counters = &map_header()->counters;
    printf("       seed %llu: %u reads, %u writes, %u truncations, %u drops, %u kills, %u blocks after killed writes (%u torn), %llu requests, %llu of %llu blocks installed, %u connections cut\n",
           (unsigned long long)seed, model->reads, model->writes, model->truncations, model->drops, kills, model->uncertain, model->torn, (unsigned long long)counters->requests,
           (unsigned long long)counters->blocks_installed, (unsigned long long)counters->blocks_fetched, world->control->drops);
    CHECK(model->reads > 100 && model->writes > 100 && model->truncations > 0 && kills > 10 && counters->blocks_installed > 100 && world->control->drops > 0);
}
