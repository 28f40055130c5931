/*
 * Becoming active. The library is loaded by LD_PRELOAD into the postmaster and, because the environment is inherited, into every program its processes
 * start; only executables named `postgres` with ZENITH_PRESENCE_MAP set use it. There, a map that cannot be used ends the process: going on would
 * show PostgreSQL pages of zeroes.
 *
 *   ZENITH_PRESENCE_MAP    path of the presence map
 *   ZENITH_SUPERVISOR_PID  process id of the supervisor; the process it starts gets SIGQUIT, PostgreSQL's immediate shutdown, when it dies. The kernel
 *                          sends it when the parent's *thread* ends, so the supervisor starts PostgreSQL from its main thread.
 */
#include "activate.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client.h"
#include "patience.h"

#define EXIT_UNUSABLE 70 /* EX_SOFTWARE */

bool library_active;

static bool is_postgres(void) {
    static const char name[] = "/postgres", deleted[] = " (deleted)";
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length < 0) return false;
    path[length] = '\0';
    size_t cut = sizeof(deleted) - 1;
    if ((size_t)length > cut && strcmp(path + length - cut, deleted) == 0) path[(size_t)length - cut] = '\0';
    char *slash = strrchr(path, '/');
    return slash != NULL && strcmp(slash, name) == 0;
}

static void end_process(const char *what, const char *which, const char *reason) {
    fprintf(stderr, "zenith: cannot use %s %s: %s\n", what, which, reason);
    _exit(EXIT_UNUSABLE);
}

static void die_with_supervisor(void) {
    const char *text = getenv("ZENITH_SUPERVISOR_PID");
    if (text == NULL || *text == '\0') return;
    char *end;
    long supervisor = strtol(text, &end, 10);
    if (*end != '\0' || supervisor <= 0) end_process("ZENITH_SUPERVISOR_PID", text, "it is not a process id");
    if (getppid() != supervisor) return; /* not the process the supervisor started */
    if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0) end_process("the death signal of supervisor", text, strerror(errno));
    if (getppid() != supervisor) _exit(EXIT_UNUSABLE); /* it died before the signal was set up */
}

static void after_fork_in_child(void) {
    map_after_fork();
    client_after_fork();
    patience_after_fork();
}

__attribute__((constructor)) static void activate(void) {
    const char *path = getenv("ZENITH_PRESENCE_MAP");
    if (path == NULL || *path == '\0' || !is_postgres()) return;
    const char *problem = map_open(path);
    if (problem != NULL) end_process("presence map", path, problem);
    if (!path_set_pgdata(map_header()->pgdata)) end_process("data directory", map_header()->pgdata, strerror(errno));
    if (pthread_atfork(NULL, NULL, after_fork_in_child) != 0) end_process("presence map", path, "no memory for a fork handler");
    patience_init();
    die_with_supervisor();
    library_active = true;
}
