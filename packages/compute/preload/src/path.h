/* Which segment file a path names, if it names one of this compute's. */
#ifndef ZENITH_PATH_H
#define ZENITH_PATH_H

#include "map.h"

/* Remembers the directory, which must exist. Returns false with errno. */
bool path_set_pgdata(const char *pgdata);

/*
 * The live segment that `path`, relative to `directory` (AT_FDCWD or a descriptor), names; NULL for every other path. Relative and absolute paths are
 * recognised alike: the tail must look like a relation file and the directory before it must be PGDATA. errno is kept.
 */
struct segment *path_live_segment(int directory, const char *path);

/* The tail of the path alone. Returns where it begins (what precedes names the directory), or NULL when it is none. */
const char *path_parse(const char *path, struct segment_key *key);

#endif
