/*
 * Whether to wait on. PostgreSQL handles cancel and terminate between system calls, which a read that waits for a pageserver does not come back from; a
 * read that returned EINTR would only be repeated. So the library looks at the flags the server's signal handlers set (PG 15-18: globals.c,
 * interrupt.c; the server exports its symbols for extensions) and lets the read fail with ECANCELED. Not inside of a critical section, where an error
 * is a PANIC; except that 18 performs every asynchronous read in one of its own and takes the error out of it (aio_io.c, pgaio_io_perform_synchronously()).
 * A server without these symbols waits until the deadline.
 */
#include "patience.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define CANCEL_AFTER_MS 1000

static const volatile sig_atomic_t *query_cancel, *process_die, *shutdown_request;
static const volatile uint32_t *critical_sections;
static uint32_t critical_sections_of_read;
static pid_t parent;

void patience_init(void) {
    query_cancel = dlsym(RTLD_DEFAULT, "QueryCancelPending");
    process_die = dlsym(RTLD_DEFAULT, "ProcDiePending");
    shutdown_request = dlsym(RTLD_DEFAULT, "ShutdownRequestPending");
    critical_sections = dlsym(RTLD_DEFAULT, "CritSectionCount");
    critical_sections_of_read = dlsym(RTLD_DEFAULT, "pgaio_io_perform_synchronously") != NULL ? 1 : 0;
    parent = getppid();
}

void patience_after_fork(void) { parent = getppid(); }

uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct patience patience_begin(uint32_t deadline_ms) {
    uint64_t now = now_ms();
    return (struct patience){.begun_ms = now, .until_ms = now + deadline_ms};
}

static bool is_set(const volatile sig_atomic_t *flag) { return flag != NULL && *flag != 0; }

static bool server_wants_process(void) {
    if (critical_sections != NULL && *critical_sections > critical_sections_of_read) return false;
    return is_set(query_cancel) || is_set(process_die) || is_set(shutdown_request);
}

const char *patience_over(const struct patience *patience) {
    uint64_t now = now_ms();
    if (now >= patience->until_ms) {
        errno = EIO;
        return "the deadline has passed";
    }
    if (now - patience->begun_ms < CANCEL_AFTER_MS) return NULL;
    if (getppid() != parent) {
        errno = EIO;
        return "the parent process is gone";
    }
    if (server_wants_process()) {
        errno = ECANCELED;
        return "it was cancelled";
    }
    return NULL;
}

void patience_sleep(uint32_t ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}
