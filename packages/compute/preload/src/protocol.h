/* The page protocol (docs/architecture.md; the TypeScript side is packages/wire/src/page-protocol). Little-endian, as this machine is. */
#ifndef ZENITH_PROTOCOL_H
#define ZENITH_PROTOCOL_H

#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the protocol is sent as it lies in memory");

#define PROTOCOL_MAGIC 0x3147505Au /* "ZPG1" */
#define PROTOCOL_VERSION 1
#define PROTOCOL_MESSAGE_MAX 1024u
#define PROTOCOL_PAGES_MAX 128u
#define PROTOCOL_GET_PAGES 1u

enum protocol_status {
    STATUS_OK = 0,
    STATUS_BAD_REQUEST = 1,
    STATUS_NO_SUCH_TIMELINE = 2,
    STATUS_LSN_NOT_AVAILABLE = 3,
    STATUS_NO_SUCH_BLOCK = 4,
    STATUS_PAGE_NOT_REBUILT = 5,
    STATUS_SHUTTING_DOWN = 6,
};

struct client_hello {
    uint32_t magic;
    uint16_t version;
    uint16_t zero;
    uint8_t tenant[16];
    uint8_t timeline[16];
    uint8_t zeroes[24];
};

struct server_hello {
    uint32_t magic;
    uint32_t status;
    uint32_t message_length;
    uint32_t zero;
};

struct page_request {
    uint32_t type;
    uint32_t id;
    uint64_t lsn;
    uint32_t spc, db, rel, fork;
    uint32_t block;
    uint32_t count;
    uint8_t zeroes[8];
};

struct page_response {
    uint32_t id;
    uint32_t status;
    uint32_t count;
    uint32_t length;
};

_Static_assert(sizeof(struct client_hello) == 64 && sizeof(struct server_hello) == 16, "sizes of the hellos");
_Static_assert(sizeof(struct page_request) == 48 && sizeof(struct page_response) == 16, "sizes of request and response");

#endif
