/*
 * Requests to the pageserver. They are pipelined: `queue` holds those sent and not answered, in the order of their answers. Every answer is installed
 * when it is received, whoever asked: the presence bits, rechecked under their lock, decide which of its blocks are still wanted.
 *
 * PostgreSQL can leave a read in the middle only by ending the process from a signal handler. It may then come back into this file once more while it
 * cleans up, so `busy` tells that the connection stopped at an unknown byte, and it is closed.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "connection.h"
#include "descriptors.h"
#include "install.h"
#include "patience.h"
#include "protocol.h"
#include "system.h"

#define QUEUE_MAX 32
#define BACKOFF_FIRST_MS 10
#define BACKOFF_MAX_MS 1000
#define PREFETCH_SEND_MS 100 /* there is room for it, so it does not wait */

struct queued {
    uint32_t id;
    struct segment *segment;
    int fd;
    uint32_t first, count;
};

enum outcome {
    DONE,    /* installed */
    REFUSED, /* the pageserver will not give these blocks */
    RETRY,   /* later, or on another connection */
    BROKEN,  /* they came and could not be installed; errno says why */
};

static struct queued queue[QUEUE_MAX];
static uint32_t queue_head, queue_length;
static uint32_t next_id = 1;
static bool busy;

/* Aligned for files opened with O_DIRECT. */
static _Alignas(4096) uint8_t pages[PROTOCOL_PAGES_MAX * BLOCK_SIZE];

static struct queued *queue_at(uint32_t position) { return &queue[(queue_head + position) % QUEUE_MAX]; }

static struct queued *find_request(const struct segment *segment, uint32_t block) {
    for (uint32_t i = 0; i < queue_length; i++) {
        struct queued *request = queue_at(i);
        if (request->segment == segment && block >= request->first && block - request->first < request->count) return request;
    }
    return NULL;
}

bool client_has_requested(const struct segment *segment, uint32_t block) { return connection_is_open() && find_request(segment, block) != NULL; }

static bool open_connection(const struct patience *patience, bool *refused) {
    queue_length = 0;
    if (connection_open(patience, refused)) return true;
    atomic_fetch_add(&map_header()->counters.reconnects, 1);
    return false;
}

static bool send_request(struct segment *segment, int fd, uint32_t first, uint32_t count, const struct patience *patience) {
    struct queued *request = queue_at(queue_length);
    *request = (struct queued){.id = next_id++, .segment = segment, .fd = fd, .first = first, .count = count};
    const struct segment_key *key = &segment->key;
    struct page_request message = {
        .type = PROTOCOL_GET_PAGES,
        .id = request->id,
        .lsn = map_header()->lsn,
        .spc = key->spc,
        .db = key->db,
        .rel = key->rel,
        .fork = key->fork,
        .block = key->segment * SEGMENT_BLOCKS + first,
        .count = count,
    };
    queue_length++;
    atomic_fetch_add(&map_header()->counters.requests, 1);
    return connection_send(&message, sizeof(message), patience);
}

/* Receives the answer to the oldest request and installs it. The connection is closed when the answer is RETRY. */
static enum outcome receive_answer(const struct patience *patience) {
    struct queued request = *queue_at(0);
    struct page_response answer;
    if (!connection_receive(&answer, sizeof(answer), patience)) return RETRY;
    bool fits = answer.status == STATUS_OK ? answer.count == request.count && answer.length == answer.count * BLOCK_SIZE
                                           : answer.count == 0 && answer.length <= PROTOCOL_MESSAGE_MAX;
    if (answer.id != request.id || !fits) {
        connection_fail("the pageserver broke the protocol: an answer to request %u with status %u, %u pages and %u bytes", answer.id, answer.status, answer.count,
                        answer.length);
        return RETRY;
    }
    if (answer.status != STATUS_OK) {
        if (!connection_receive_problem(answer.length, patience)) return RETRY;
        queue_head = (queue_head + 1) % QUEUE_MAX;
        queue_length--;
        if (answer.status != STATUS_SHUTTING_DOWN && answer.status != STATUS_LSN_NOT_AVAILABLE) return REFUSED;
        connection_close();
        return RETRY;
    }
    if (!connection_receive(pages, answer.length, patience)) return RETRY;
    queue_head = (queue_head + 1) % QUEUE_MAX;
    queue_length--;
    atomic_fetch_add(&map_header()->counters.blocks_fetched, answer.count);
    if (descriptor_segment(request.fd) != request.segment) return DONE; /* closed meanwhile: an answer to a prefetch nobody needs */
    uint32_t installed;
    if (!install_pages(request.segment, request.fd, request.first, request.count, pages, &installed)) return BROKEN;
    atomic_fetch_add(&map_header()->counters.blocks_installed, installed);
    return DONE;
}

/* Asks for the blocks unless they are asked for, and receives answers until that one came. */
static enum outcome attempt(struct segment *segment, int fd, uint32_t first, uint32_t count, const struct patience *patience) {
    if (!connection_is_open()) {
        bool refused;
        if (!open_connection(patience, &refused)) return refused ? REFUSED : RETRY;
    }
    bool own = false;
    const struct queued *request = find_request(segment, first);
    if (request == NULL) {
        own = true;
        if (queue_length == QUEUE_MAX && receive_answer(patience) == RETRY) return RETRY;
        request = queue_at(queue_length);
        if (!send_request(segment, fd, first, count, patience)) return RETRY;
    }
    uint32_t id = request->id;
    for (;;) {
        bool last = queue_at(0)->id == id;
        enum outcome outcome = receive_answer(patience);
        if (outcome == RETRY) {
            atomic_fetch_add(&map_header()->counters.reconnects, 1);
            return RETRY;
        }
        if (!last) continue;
        /* A prefetch that failed, or whose descriptor was closed, says nothing about this read: ask for itself. */
        if (own || map_next_missing(segment, first, first + 1) != first) return outcome;
        return attempt(segment, fd, first, count, patience);
    }
}

static void report(const struct segment *segment, uint32_t block, const char *reason, const char *over) {
    const struct segment_key *key = &segment->key;
    const char *fork = key->fork == 2 ? "_vm" : key->fork == 3 ? "_init" : "";
    char file[96], line[PROTOCOL_MESSAGE_MAX + 640];
    if (key->spc == 1664)
        snprintf(file, sizeof(file), "global/%u%s", key->rel, fork);
    else if (key->spc == 1663)
        snprintf(file, sizeof(file), "base/%u/%u%s", key->db, key->rel, fork);
    else
        snprintf(file, sizeof(file), "pg_tblspc/%u/%u/%u%s", key->spc, key->db, key->rel, fork);
    uint64_t lsn = map_header()->lsn;
    int length = snprintf(line, sizeof(line), "zenith: cannot read block %u of %s at LSN %X/%X from pageserver %s: %s%s%s\n",
                          key->segment * SEGMENT_BLOCKS + block, file, (unsigned)(lsn >> 32), (unsigned)lsn, map_header()->address, reason,
                          over == NULL ? "" : "; gave up: ", over == NULL ? "" : over);
    if (length >= (int)sizeof(line)) length = (int)sizeof(line) - 1;
    if (system_write(STDERR_FILENO, line, (size_t)length) < 0) return; /* nobody left to tell */
}

static bool fetch(struct segment *segment, int fd, uint32_t first, uint32_t needed, uint32_t begin, uint32_t wanted) {
    struct patience patience = patience_begin(map_header()->request_deadline_ms);
    uint32_t backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        enum outcome outcome = attempt(segment, fd, begin, wanted, &patience);
        if (outcome == DONE) return true;
        if (outcome == BROKEN) {
            int saved = errno;
            report(segment, first, strerror(saved), NULL);
            errno = saved;
            return false;
        }
        if (outcome == REFUSED && wanted > needed) {
            begin = first; /* a page that was only read ahead must not fail this read */
            wanted = needed;
            continue;
        }
        uint32_t stop = map_next_present(segment, first, first + needed);
        if (outcome == REFUSED && stop == first) return true; /* another process wrote it meanwhile, or had it before: who reads looks again */
        if (outcome == REFUSED && stop < first + needed) {
            wanted = needed = stop - first; /* nor one in the midst that is here already */
            continue;
        }
        if (outcome == REFUSED) {
            report(segment, first, connection_problem(), NULL);
            errno = EIO;
            return false;
        }
        const char *over = patience_over(&patience);
        if (over != NULL) {
            int saved = errno;
            report(segment, first, connection_problem(), over);
            errno = saved;
            return false;
        }
        patience_sleep(backoff_ms);
        backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
    }
}

/* To be called first: after an abandoned call nothing about the connection is known. */
static void enter(void) {
    if (busy) connection_close();
    busy = true;
}

bool client_fetch(struct segment *segment, int fd, uint32_t first, uint32_t needed, uint32_t begin, uint32_t wanted) {
    struct timespec begun, ended;
    enter();
    clock_gettime(CLOCK_MONOTONIC, &begun);
    bool done = fetch(segment, fd, first, needed, begin, wanted);
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC, &ended);
    int64_t waited_us = (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000;
    atomic_fetch_add(&map_header()->counters.waited_us, (uint64_t)waited_us);
    if (!done) atomic_fetch_add(&map_header()->counters.failures, 1);
    busy = false;
    errno = saved;
    return done;
}

void client_prefetch(struct segment *segment, int fd, uint32_t first, uint32_t count) {
    if (!connection_is_open() || queue_length == QUEUE_MAX || find_request(segment, first) != NULL) return;
    int saved = errno;
    enter();
    struct patience patience = patience_begin(PREFETCH_SEND_MS);
    if (connection_is_open() && connection_can_send()) send_request(segment, fd, first, count, &patience);
    busy = false;
    errno = saved;
}

void client_after_fork(void) {
    connection_close();
    queue_length = 0;
    busy = false;
}
