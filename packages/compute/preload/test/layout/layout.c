/* Prints the presence map's layout as C sees it; packages/compute/src/presence-map/layout.test.ts compares it with the TypeScript side. */
#include <stdio.h>

#include "../../src/map.h"

#define HEADER(field, name) printf("header." name " %zu\n", offsetof(struct map_header, field))
#define SLOT(field, name) printf("slot." name " %zu\n", offsetof(struct segment, field))

int main(void) {
    printf("magic %u\nversion %u\nheaderLength %zu\nslotLength %zu\n", MAP_MAGIC, MAP_VERSION, sizeof(struct map_header), sizeof(struct segment));
    printf("counterCount %zu\naddressLength %zu\npgdataLength %zu\n", sizeof(struct map_counters) / sizeof(uint64_t), sizeof(((struct map_header *)0)->address),
           sizeof(((struct map_header *)0)->pgdata));
    printf("state.empty %d\nstate.live %d\nstate.dead %d\n", SEGMENT_EMPTY, SEGMENT_LIVE, SEGMENT_DEAD);
    HEADER(magic, "magic");
    HEADER(version, "version");
    HEADER(slot_capacity, "slotCapacity");
    HEADER(segments, "segments");
    HEADER(slots_offset, "slotsOffset");
    HEADER(bitmaps_offset, "bitmapsOffset");
    HEADER(file_length, "fileLength");
    HEADER(lsn, "lsn");
    HEADER(tenant, "tenant");
    HEADER(timeline, "timeline");
    HEADER(request_deadline_ms, "requestDeadlineMs");
    HEADER(readahead_blocks, "readaheadBlocks");
    HEADER(counters, "counters");
    HEADER(address, "address");
    HEADER(pgdata, "pgdata");
    SLOT(state, "state");
    SLOT(key.spc, "spc");
    SLOT(key.db, "db");
    SLOT(key.rel, "rel");
    SLOT(key.fork, "fork");
    SLOT(key.segment, "segment");
    SLOT(blocks, "blocks");
    SLOT(remote, "remoteBlocks");
    SLOT(missing, "missing");
    SLOT(readahead_next, "readaheadNext");
    SLOT(bitmap_offset, "bitmapOffset");
    SLOT(readahead_window, "readaheadWindow");
    SLOT(claim_begin, "claimBegin");
    SLOT(claim_end, "claimEnd");
    SLOT(claim_ms, "claimMs");
    return 0;
}
