/*
 * Support for the tests of the preload library. The driver (main.c) runs without the library being active; each case runs in a process of its own, executed
 * with a presence map, where the hooks linked into this same program are active.
 */
#ifndef ZENITH_TEST_SUPPORT_H
#define ZENITH_TEST_SUPPORT_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "map.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: check failed: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A page: who it is and which version, repeated over its 8192 bytes. Version 0 is the snapshot's, as the page server gives it. */
struct page {
    struct {
        uint32_t rel, fork, block, version;
    } words[BLOCK_SIZE / 16];
};

void page_fill(struct page *page, uint32_t rel, uint32_t fork, uint32_t block, uint32_t version);

/* The version of a page that is whole and the one named; UINT32_MAX otherwise. */
uint32_t page_version(const struct page *page, uint32_t rel, uint32_t fork, uint32_t block);

/* A segment file of a relation fork of the snapshot. */
struct relation {
    struct segment_key key;
    uint32_t blocks;
};

/* Shared with the page server: what it shall do, and what it did. Lives in a file of the case's directory. */
struct server_control {
    _Atomic uint32_t delay_us;         /* before each answer */
    _Atomic uint32_t delay_random_us;  /* up to that much more */
    _Atomic uint32_t drop_one_in;      /* cut the connection in the middle of one answer in so many */
    _Atomic uint32_t fail_block;       /* this block ... */
    _Atomic uint32_t fail_status;      /* ... is answered with this status, 0 = not at all */
    _Atomic uint32_t fail_times;       /* so many times */
    _Atomic uint32_t garbage;          /* 1: wrong magic; 2: length out of bounds; 3: wrong request id */
    _Atomic uint32_t hello_status;     /* refuse connections with it */
    _Atomic uint32_t requests, pages, connections, drops;
};

/* Where a case lives: <directory>/{data,presence.map,control,socket}. */
struct world {
    char directory[64];
    char data[80], map[80], socket[80];
    struct server_control *control;
    pid_t server;
};

/* Makes directory, sparse files, map and page server. */
void world_create(struct world *world, const struct relation *relations, int count, uint32_t deadline_ms, uint32_t readahead);

/* In the process of a case: finds the same again by the environment. The working directory is the data directory. */
void world_attach(struct world *world);

void world_stop_server(struct world *world);
void world_start_server(struct world *world);
void world_destroy(struct world *world);

/* Runs until killed. */
void page_server(const char *socket_path, struct server_control *control);

/* The cases; each is one process. */
struct test_case {
    const char *name;
    void (*run)(struct world *world);
    const struct relation *relations;
    int relation_count;
    uint32_t deadline_ms;
    uint32_t readahead;
    int rounds; /* each in a new world */
};
extern const struct test_case test_cases[];
extern const int test_case_count;

void torture(struct world *world);

#endif
