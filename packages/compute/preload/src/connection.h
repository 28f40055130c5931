/* The one connection of this process to the pageserver. */
#ifndef ZENITH_CONNECTION_H
#define ZENITH_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "patience.h"

bool connection_is_open(void);

/* Connects and introduces the timeline. On false connection_problem() says why, and *refused whether repeating it cannot help. */
bool connection_open(const struct patience *patience, bool *refused);

/* Sends or receives all of `length` bytes, waiting as long as patience lasts. On false the connection is closed. */
bool connection_send(const void *bytes, size_t length, const struct patience *patience);
bool connection_receive(void *bytes, size_t length, const struct patience *patience);

/* True when a request would not wait for room in the send buffer. */
bool connection_can_send(void);

/* Closes it, if it is open. */
void connection_close(void);

/* Closes it and remembers the reason. Returns false. */
bool connection_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The last reason. */
const char *connection_problem(void);

/* Receives a message of the server as the reason; control characters become spaces. */
bool connection_receive_problem(size_t length, const struct patience *patience);

#endif
