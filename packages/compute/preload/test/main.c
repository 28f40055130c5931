/* Runs every case: makes its world, executes this program again with the map in the environment, and expects it to exit with 0. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "path.h"

/* Runs `case_name` in its own process; its wait status. */
static int run_process(const struct world *world, const char *map, const char *case_name) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setenv("ZENITH_TEST_DIRECTORY", world->directory, 1);
        setenv("ZENITH_PRESENCE_MAP", map, 1);
        execl("/proc/self/exe", "postgres", case_name, (char *)NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static bool run_case(const struct test_case *test) {
    struct world world;
    world_create(&world, test->relations, test->relation_count, test->deadline_ms, test->readahead);
    int status = run_process(&world, world.map, test->name);
    world_destroy(&world);
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %s\n", passed ? "ok    " : "FAILED", test->name);
    fflush(stdout);
    return passed;
}

/* A map that is damaged in any of these ways must end the process before main(): a library that is not active shows pages of zeroes. */
static bool run_bad_maps(void) {
    static const struct relation one[] = {{{1663, 5, 16384, 0, 0}, 100}};
    static const struct {
        const char *what;
        size_t offset;
        uint32_t value;
    } damages[] = {
        {"magic", offsetof(struct map_header, magic), 1},           {"version", offsetof(struct map_header, version), 2},
        {"capacity", offsetof(struct map_header, slot_capacity), 63}, {"huge capacity", offsetof(struct map_header, slot_capacity), 1u << 31},
        {"slots", offsetof(struct map_header, slots_offset), 8},    {"bitmaps", offsetof(struct map_header, bitmaps_offset), 1u << 30},
        {"length", offsetof(struct map_header, file_length), 4096}, {"segments", offsetof(struct map_header, segments), 2},
        {"pgdata", offsetof(struct map_header, pgdata), 0x6f6e2f2f}, {"readahead", offsetof(struct map_header, readahead_blocks), 129},
    };
    struct world world;
    bool passed = true;
    world_create(&world, one, 1, 1000, 128);
    char path[128];
    snprintf(path, sizeof(path), "%s.bad", world.map);
    for (size_t i = 0; i <= sizeof(damages) / sizeof(damages[0]); i++) {
        static uint8_t bytes[65536];
        FILE *file = fopen(world.map, "r");
        CHECK(file != NULL);
        size_t length = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        const char *what = "short file";
        if (i < sizeof(damages) / sizeof(damages[0])) {
            what = damages[i].what;
            memcpy(bytes + damages[i].offset, &damages[i].value, sizeof(uint32_t));
        } else {
            length = 4000;
        }
        file = fopen(path, "w");
        CHECK(file != NULL && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
        int status = run_process(&world, path, "nothing");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 70) {
            printf("FAILED a map with a bad %s was used (status %d)\n", what, status);
            passed = false;
        }
    }
    int status = run_process(&world, "/nonexistent/map", "nothing");
    passed = passed && WIFEXITED(status) && WEXITSTATUS(status) == 70;
    status = run_process(&world, world.map, "nothing");
    passed = passed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    world_destroy(&world);
    printf("%s a damaged map ends the process\n", passed ? "ok    " : "FAILED");
    return passed;
}

static bool run_paths(void) {
    static const struct {
        const char *path;
        struct segment_key key; /* rel 0: not a relation file */
        size_t tail;
    } paths[] = {
        {"base/5/16384", {1663, 5, 16384, 0, 0}, 0},
        {"./base/5/16384.12", {1663, 5, 16384, 0, 12}, 2},
        {"/srv/base/1/pg//base//5/./16384_vm.1", {1663, 5, 16384, 2, 1}, 16},
        {"global/1262", {1664, 0, 1262, 0, 0}, 0},
        {"pg_tblspc/16400/PG_18_202506291/5/4294967295_init", {16400, 5, 4294967295u, 3, 0}, 0},
        {"base/5/16384_fsm", {0}, 0},
        {"base/5/t3_16384", {0}, 0},
        {"base/5/016384", {0}, 0},
        {"base/5/16384.0", {0}, 0},
        {"base/5/16384.", {0}, 0},
        {"base/5/16384_vmx", {0}, 0},
        {"base/5/4294967296", {0}, 0},
        {"base/5/0", {0}, 0},
        {"base/5/pg_filenode.map", {0}, 0},
        {"base/pgsql_tmp/16384", {0}, 0},
        {"pg_tblspc/16400/5/16384", {0}, 0},
        {"pg_tblspc/x/PG_18_1/5/16384", {0}, 0},
        {"16384", {0}, 0},
        {"pg_wal/000000010000000000000001", {0}, 0},
        {"", {0}, 0},
        {"/", {0}, 0},
        {".", {0}, 0},
        {"///", {0}, 0},
    };
    bool passed = true;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct segment_key key = {0};
        const char *tail = path_parse(paths[i].path, &key);
        bool right = paths[i].key.rel == 0 ? tail == NULL : tail == paths[i].path + paths[i].tail && memcmp(&key, &paths[i].key, sizeof(key)) == 0;
        if (!right) printf("FAILED path %s\n", paths[i].path);
        passed = passed && right;
    }
    printf("%s paths of relation files are recognised, others are not\n", passed ? "ok    " : "FAILED");
    return passed;
}

int main(int count, char **arguments) {
    const char *name = count > 1 ? arguments[1] : NULL;
    if (getenv("ZENITH_PRESENCE_MAP") != NULL) {
        if (strcmp(name, "nothing") == 0) return 0;
        struct world world;
        world_attach(&world);
        for (int i = 0; i < test_case_count; i++) {
            if (strcmp(test_cases[i].name, name) != 0) continue;
            test_cases[i].run(&world);
            return 0;
        }
        return 126;
    }
    bool passed = name != NULL || (run_paths() & run_bad_maps());
    for (int i = 0; i < test_case_count; i++)
        for (int round = 0; round < test_cases[i].rounds && (name == NULL || strcmp(test_cases[i].name, name) == 0); round++)
            passed = run_case(&test_cases[i]) && passed;
    return passed ? 0 : 1;
}
