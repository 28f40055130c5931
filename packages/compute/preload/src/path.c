/*
 * Paths of relation files:  base/<db>/<file>   global/<file>   pg_tblspc/<spc>/PG_<version>/<db>/<file>
 * with file = <relfilenode>[_vm|_init][.<segment>]. The free-space map (_fsm) is never remote, temporary relations (t<n>_<relfilenode>) are never in a
 * snapshot: both are left alone, as is everything else. PG 18: relpath.c, GetRelationPath()
 */
#include "path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "system.h"

#define DEFAULT_TABLESPACE 1663u
#define GLOBAL_TABLESPACE 1664u

static dev_t pgdata_device;
static ino_t pgdata_inode;

bool path_set_pgdata(const char *pgdata) {
    struct stat status;
    if (stat(pgdata, &status) != 0) return false;
    pgdata_device = status.st_dev;
    pgdata_inode = status.st_ino;
    return true;
}

/* A decimal u32 as PostgreSQL prints it: no sign, no leading zero. Returns what follows it, or NULL. */
static const char *parse_number(const char *text, const char *end, uint32_t *value) {
    uint64_t number = 0;
    const char *at = text;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > UINT32_MAX) return NULL;
    }
    if (at == text || (*text == '0' && at - text > 1)) return NULL;
    *value = (uint32_t)number;
    return at;
}

static bool parse_whole_number(const char *text, const char *end, uint32_t *value) { return parse_number(text, end, value) == end; }

static bool parse_file(const char *text, const char *end, struct segment_key *key) {
    const char *at = parse_number(text, end, &key->rel);
    if (at == NULL || key->rel == 0) return false;
    key->fork = 0;
    key->segment = 0;
    if (end - at >= 3 && memcmp(at, "_vm", 3) == 0) {
        key->fork = 2;
        at += 3;
    } else if (end - at >= 5 && memcmp(at, "_init", 5) == 0) {
        key->fork = 3;
        at += 5;
    }
    if (at == end) return true;
    return *at == '.' && parse_whole_number(at + 1, end, &key->segment) && key->segment > 0;
}

/* Takes the last component of [path, *end) into [*from, return value) and moves *end before it; NULL when there is none. */
static const char *last_component(const char *path, const char **end, const char **from) {
    const char *stop = *end;
    for (;;) {
        while (stop > path && stop[-1] == '/') stop--;
        if (stop > path && stop[-1] == '.' && (stop - 1 == path || stop[-2] == '/'))
            stop--; /* "." */
        else
            break;
    }
    if (stop == path) return NULL;
    const char *start = stop;
    while (start > path && start[-1] != '/') start--;
    *from = start;
    *end = start;
    return stop;
}

static bool is(const char *from, const char *stop, const char *name) { return (size_t)(stop - from) == strlen(name) && memcmp(from, name, (size_t)(stop - from)) == 0; }

const char *path_parse(const char *path, struct segment_key *key) {
    const char *end = path + strlen(path), *from, *stop;
    if (end == path || end[-1] < '0' || (end[-1] > '9' && end[-1] != 'm' && end[-1] != 't')) return NULL; /* most other files end here */
    if ((stop = last_component(path, &end, &from)) == NULL || !parse_file(from, stop, key)) return NULL;
    if ((stop = last_component(path, &end, &from)) == NULL) return NULL;
    if (is(from, stop, "global")) {
        key->spc = GLOBAL_TABLESPACE;
        key->db = 0;
        return from;
    }
    if (!parse_whole_number(from, stop, &key->db)) return NULL;
    if ((stop = last_component(path, &end, &from)) == NULL) return NULL;
    if (is(from, stop, "base")) {
        key->spc = DEFAULT_TABLESPACE;
        return from;
    }
    if (stop - from < 3 || memcmp(from, "PG_", 3) != 0) return NULL;
    if ((stop = last_component(path, &end, &from)) == NULL || !parse_whole_number(from, stop, &key->spc)) return NULL;
    if ((stop = last_component(path, &end, &from)) == NULL || !is(from, stop, "pg_tblspc")) return NULL;
    return from;
}

static bool is_pgdata(int directory, const char *path, const char *end) {
    char prefix[PATH_MAX];
    struct stat status;
    size_t length = (size_t)(end - path);
    if (length >= sizeof(prefix)) return false;
    memcpy(prefix, path, length);
    prefix[length] = '\0';
    return fstatat(directory, length == 0 ? "." : prefix, &status, 0) == 0 && status.st_dev == pgdata_device && status.st_ino == pgdata_inode;
}

struct segment *path_live_segment(int directory, const char *path) {
    struct segment_key key;
    const char *tail = path_parse(path, &key);
    if (tail == NULL) return NULL;
    struct segment *segment = map_find(&key);
    if (segment == NULL || atomic_load(&segment->state) != SEGMENT_LIVE) return NULL;
    int saved = errno;
    bool ours = is_pgdata(directory, path, tail);
    errno = saved;
    return ours ? segment : NULL;
}
