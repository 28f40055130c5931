/* What the hooks do to a file with missing blocks. Every function takes an attached descriptor and keeps errno unless it fails. */
#ifndef ZENITH_PRESENCE_H
#define ZENITH_PRESENCE_H

#include "map.h"

/* Makes the blocks that [at, at + length) touches present. Returns false with errno. Costs a few loads when nothing is missing. */
bool presence_ensure(struct segment *segment, int fd, off_t at, size_t length);

/* Hints that they are going to be read. */
void presence_will_need(struct segment *segment, int fd, off_t at, size_t length);

/* Blocks locked around a write. */
struct presence_write {
    struct segment *segment; /* NULL when the write concerns no missing block */
    off_t at;
    size_t length;
    uint32_t first, end;
};

/* Before the write: fetches blocks it would leave half written, locks the others. Returns false with errno. */
bool presence_write_begin(struct presence_write *write, struct segment *segment, int fd, off_t at, size_t length);

/*
 * After it: `written` is what the system call returned. Marks what was written present, unlocks, and returns what the hook returns: whole blocks, since
 * the rest of a missing block would come from the pageserver. Less than one block is -1 with ENOSPC.
 */
ssize_t presence_write_end(struct presence_write *write, ssize_t written);

/* Blocks cut off by a truncation, until it is known whether it succeeded. */
struct presence_truncation {
    struct segment *segment; /* NULL when it cuts no block off */
    uint32_t remote_before;
};

/* Before the truncation to `length` bytes: fetches a block that is cut in two, forgets those beyond, locks. fd is not needed where length is 0. */
bool presence_truncate_begin(struct presence_truncation *truncation, struct segment *segment, int fd, off_t length);

/* After it. */
void presence_truncate_end(struct presence_truncation *truncation, bool succeeded);

/* Takes all blocks' lock for changes of the file's name. Returns false with errno. */
bool presence_lock(struct segment *segment);
void presence_unlock(struct segment *segment);

/* Under that lock: the name no longer stands for the snapshot's file. */
void presence_forget(struct segment *segment);

#endif
