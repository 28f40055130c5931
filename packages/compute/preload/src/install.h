/* Changing what is in the file and what the map says about it, together. */
#ifndef ZENITH_INSTALL_H
#define ZENITH_INSTALL_H

#include "map.h"

/*
 * Writes those of the pages [first, first + count) that are still missing into the file, and marks them present. `installed` gets their number.
 * Returns false with errno; what was written until then is present.
 */
bool install_pages(struct segment *segment, int fd, uint32_t first, uint32_t count, const uint8_t *pages, uint32_t *installed);

#endif
