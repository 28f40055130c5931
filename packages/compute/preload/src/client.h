/* Asking the pageserver for blocks and putting what comes into the files. */
#ifndef ZENITH_CLIENT_H
#define ZENITH_CLIENT_H

#include "map.h"

/*
 * Brings at least [first, first + needed), which lies in the blocks [begin, begin + wanted) asked for, into the segment's file, whose attached descriptor
 * is fd; wanted ≤ 128. Only the former must come. A block of it that an earlier request was to bring may be missing still when that failed: look again.
 * Waits for the pageserver up to the map's deadline. Returns false with errno after one line on standard error.
 */
bool client_fetch(struct segment *segment, int fd, uint32_t first, uint32_t needed, uint32_t begin, uint32_t wanted);

/* Asks for blocks without waiting; they are put into the file when this process next waits for others. Does nothing when that is not free to do. */
void client_prefetch(struct segment *segment, int fd, uint32_t first, uint32_t count);

/* True when this process has asked for that block and not yet received the answer. */
bool client_has_requested(const struct segment *segment, uint32_t block);

/* In a child process: the parent's connection is not ours. */
void client_after_fork(void);

#endif
