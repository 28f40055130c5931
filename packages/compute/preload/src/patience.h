/* How long a read goes on waiting for the pageserver: until its deadline, or until PostgreSQL wants the process back. */
#ifndef ZENITH_PATIENCE_H
#define ZENITH_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
    uint64_t begun_ms;
    uint64_t until_ms;
};

/* Longest uninterrupted sleep: how soon a lost wake-up is noticed. */
#define PATIENCE_SLICE_MS 100

/* Looks the server's flags up; once, when the library becomes active. */
void patience_init(void);

/* In a child process: remembers its parent. */
void patience_after_fork(void);

/* Milliseconds of a clock that only runs forward. */
uint64_t now_ms(void);

struct patience patience_begin(uint32_t deadline_ms);

/*
 * Why to stop waiting, with errno set (EIO, or ECANCELED when the server asked for it); NULL to go on. A request to cancel counts only after a second:
 * PostgreSQL reports it better itself once the read has returned, and reads normally take less than a millisecond.
 */
const char *patience_over(const struct patience *patience);

/* Sleeps that long, or less when a signal comes. */
void patience_sleep(uint32_t ms);

#endif
