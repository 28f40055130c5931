/* A data directory of sparse files with its presence map, built in C as packages/compute/src/presence-map/builder.ts builds it. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void page_fill(struct page *page, uint32_t rel, uint32_t fork, uint32_t block, uint32_t version) {
    for (size_t i = 0; i < BLOCK_SIZE / 16; i++) {
        page->words[i].rel = rel;
        page->words[i].fork = fork;
        page->words[i].block = block;
        page->words[i].version = version;
    }
}

uint32_t page_version(const struct page *page, uint32_t rel, uint32_t fork, uint32_t block) {
    struct page expected;
    page_fill(&expected, rel, fork, block, page->words[0].version);
    return memcmp(page, &expected, sizeof(expected)) == 0 ? page->words[0].version : UINT32_MAX;
}

static uint32_t hash(const struct segment_key *key) {
    const uint32_t words[] = {key->spc, key->db, key->rel, key->fork, key->segment};
    uint32_t value = 0;
    for (int i = 0; i < 5; i++) {
        value = (value ^ words[i]) * 0x85ebca6bu + 0x9e3779b9u;
        value ^= value >> 13;
    }
    return value ^ value >> 16;
}

static void segment_path(const struct world *world, const struct segment_key *key, char *path, size_t length) {
    const char *fork = key->fork == 2 ? "_vm" : key->fork == 3 ? "_init" : "";
    char segment[16] = "";
    if (key->segment > 0) snprintf(segment, sizeof(segment), ".%u", key->segment);
    if (key->spc == 1664)
        snprintf(path, length, "%s/global/%u%s%s", world->data, key->rel, fork, segment);
    else if (key->spc == 1663)
        snprintf(path, length, "%s/base/%u/%u%s%s", world->data, key->db, key->rel, fork, segment);
    else
        snprintf(path, length, "%s/pg_tblspc/%u/PG_18_1/%u/%u%s%s", world->data, key->spc, key->db, key->rel, fork, segment);
}

static void make_parents(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void write_map(const struct world *world, const struct relation *relations, int count, uint32_t deadline_ms, uint32_t readahead) {
    uint32_t capacity = 64;
    uint64_t bitmaps = sizeof(struct map_header) + capacity * sizeof(struct segment), length = bitmaps;
    for (int i = 0; i < count; i++) length += (relations[i].blocks + 63) / 64 * 8;
    uint8_t *bytes = calloc(1, length);
    struct map_header *header = (struct map_header *)bytes;
    *header = (struct map_header){.magic = MAP_MAGIC,
                                  .version = MAP_VERSION,
                                  .slot_capacity = capacity,
                                  .segments = (uint32_t)count,
                                  .slots_offset = sizeof(*header),
                                  .bitmaps_offset = bitmaps,
                                  .file_length = length,
                                  .lsn = 0x1000028,
                                  .request_deadline_ms = deadline_ms,
                                  .readahead_blocks = readahead};
    snprintf(header->address, sizeof(header->address), "unix:%s", world->socket);
    snprintf(header->pgdata, sizeof(header->pgdata), "%s", world->data);
    struct segment *slots = (struct segment *)(bytes + sizeof(*header));
    for (int i = 0; i < count; i++) {
        const struct relation *relation = &relations[i];
        uint32_t index = hash(&relation->key);
        while (slots[index % capacity].state != SEGMENT_EMPTY) index++;
        struct segment *slot = &slots[index % capacity];
        slot->state = SEGMENT_LIVE;
        slot->key = relation->key;
        slot->blocks = slot->remote = slot->missing = relation->blocks;
        slot->bitmap_offset = bitmaps;
        for (uint32_t block = 0; block < relation->blocks; block++) bytes[bitmaps + block / 8] |= (uint8_t)(1u << block % 8);
        bitmaps += (relation->blocks + 63) / 64 * 8;
    }
    FILE *file = fopen(world->map, "w");
    CHECK(file != NULL && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
    free(bytes);
}

static void name_files(struct world *world) {
    snprintf(world->data, sizeof(world->data), "%s/data", world->directory);
    snprintf(world->map, sizeof(world->map), "%s/presence.map", world->directory);
    snprintf(world->socket, sizeof(world->socket), "%s/socket", world->directory);
}

static void map_control(struct world *world) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/control", world->directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, sizeof(struct server_control)) == 0);
    world->control = mmap(NULL, sizeof(struct server_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(world->control != MAP_FAILED);
    close(fd);
}

void world_create(struct world *world, const struct relation *relations, int count, uint32_t deadline_ms, uint32_t readahead) {
    snprintf(world->directory, sizeof(world->directory), "/tmp/zenith-preload-XXXXXX");
    CHECK(mkdtemp(world->directory) != NULL);
    name_files(world);
    CHECK(mkdir(world->data, 0700) == 0);
    map_control(world);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        segment_path(world, &relations[i].key, path, sizeof(path));
        make_parents(path);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(fd >= 0 && ftruncate(fd, (off_t)relations[i].blocks * BLOCK_SIZE) == 0);
        close(fd);
    }
    write_map(world, relations, count, deadline_ms, readahead);
    world_start_server(world);
}

void world_attach(struct world *world) {
    snprintf(world->directory, sizeof(world->directory), "%s", getenv("ZENITH_TEST_DIRECTORY"));
    name_files(world);
    map_control(world);
    CHECK(chdir(world->data) == 0);
    world->server = 0;
}

void world_start_server(struct world *world) {
    world->server = fork();
    CHECK(world->server >= 0);
    if (world->server == 0) page_server(world->socket, world->control);
    for (int i = 0; access(world->socket, F_OK) != 0; i++) {
        CHECK(i < 5000);
        usleep(1000);
    }
}

void world_stop_server(struct world *world) {
    CHECK(kill(world->server, SIGKILL) == 0 && waitpid(world->server, NULL, 0) == world->server);
    unlink(world->socket);
}

void world_destroy(struct world *world) {
    world_stop_server(world);
    munmap(world->control, sizeof(*world->control));
    pid_t remover = fork();
    CHECK(remover >= 0);
    if (remover == 0) {
        execlp("rm", "rm", "-rf", world->directory, (char *)NULL);
        _exit(127);
    }
    waitpid(remover, NULL, 0);
}
