/*
 * The connection of this process to the pageserver: TCP or Unix socket, never blocking in the kernel for longer than a slice, so that cancel requests
 * are seen. Made when the first block is missing, kept until it breaks, never inherited by a child.
 */
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "map.h"
#include "protocol.h"
#include "system.h"

/* A peer that vanished without a word is noticed after this long, also while a response is awaited. */
#define PEER_LOST_MS 15000

static int socket_fd = -1;
static char problem[PROTOCOL_MESSAGE_MAX + 1];

bool connection_is_open(void) { return socket_fd >= 0; }

const char *connection_problem(void) { return problem; }

void connection_close(void) {
    if (socket_fd >= 0) system_close(socket_fd);
    socket_fd = -1;
}

bool connection_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof(problem), format, arguments);
    va_end(arguments);
    connection_close();
    return false;
}

/* Waits until the socket can be read or written. */
static bool wait_for(short events, const struct patience *patience) {
    for (;;) {
        struct pollfd poller = {.fd = socket_fd, .events = events};
        int ready = poll(&poller, 1, PATIENCE_SLICE_MS);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return connection_fail("poll: %s", strerror(errno));
        const char *over = patience_over(patience);
        if (over != NULL) return connection_fail("no answer, and %s", over);
    }
}

bool connection_send(const void *bytes, size_t length, const struct patience *patience) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t sent = send(socket_fd, at, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for(POLLOUT, patience)) return false;
        } else if (errno != EINTR) {
            return connection_fail("send: %s", strerror(errno));
        }
    }
    return true;
}

bool connection_can_send(void) {
    struct pollfd poller = {.fd = socket_fd, .events = POLLOUT};
    return poll(&poller, 1, 0) == 1 && (poller.revents & POLLOUT) != 0;
}

bool connection_receive(void *bytes, size_t length, const struct patience *patience) {
    char *at = bytes;
    while (length > 0) {
        ssize_t received = recv(socket_fd, at, length, MSG_DONTWAIT);
        if (received > 0) {
            at += received;
            length -= (size_t)received;
        } else if (received == 0) {
            return connection_fail("the connection was closed");
        } else if (errno == EAGAIN) {
            if (!wait_for(POLLIN, patience)) return false;
        } else if (errno != EINTR) {
            return connection_fail("receive: %s", strerror(errno));
        }
    }
    return true;
}

bool connection_receive_problem(size_t length, const struct patience *patience) {
    if (length >= sizeof(problem)) return connection_fail("the pageserver broke the protocol: a message of %zu bytes", length);
    char text[sizeof(problem)];
    if (!connection_receive(text, length, patience)) return false;
    for (size_t i = 0; i < length; i++) problem[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    problem[length] = '\0';
    return true;
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

/* Reads the address in the map's header; 0 when it is none. Hosts are numeric: nothing is resolved inside of a read. */
static socklen_t parse_address(const char *text, union address *address) {
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        if (strlen(text + 5) >= sizeof(address->local.sun_path)) return 0;
        address->local.sun_family = AF_UNIX;
        strcpy(address->local.sun_path, text + 5);
        return sizeof(address->local);
    }
    char host[64];
    const char *colon = strrchr(text, ':');
    if (strncmp(text, "tcp:", 4) != 0 || colon == NULL || colon <= text + 4) return 0;
    bool v6 = text[4] == '[';
    const char *begin = text + 4 + v6, *end = colon - v6;
    if (end <= begin || (size_t)(end - begin) >= sizeof(host)) return 0;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    long port = strtol(colon + 1, NULL, 10);
    if (port < 1 || port > 65535) return 0;
    if (v6) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1 ? sizeof(address->v6) : 0;
    }
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1 ? sizeof(address->v4) : 0;
}

static void set_option(int level, int name, int value) { setsockopt(socket_fd, level, name, &value, sizeof(value)); }

static bool connect_socket(const struct patience *patience) {
    union address address;
    socklen_t length = parse_address(map_header()->address, &address);
    if (length == 0) return connection_fail("the address is not one of a pageserver");
    socket_fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_fd < 0) return connection_fail("socket: %s", strerror(errno));
    if (address.any.sa_family != AF_UNIX) {
        set_option(IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(IPPROTO_TCP, TCP_KEEPIDLE, 5);
        set_option(IPPROTO_TCP, TCP_KEEPINTVL, 5);
        set_option(IPPROTO_TCP, TCP_USER_TIMEOUT, PEER_LOST_MS);
    }
    if (connect(socket_fd, &address.any, length) == 0) return true;
    if (errno != EINPROGRESS && errno != EINTR) return connection_fail("connect: %s", strerror(errno));
    if (!wait_for(POLLOUT, patience)) return false;
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 || connection_fail("connect: %s", strerror(error));
}

bool connection_open(const struct patience *patience, bool *refused) {
    struct client_hello hello = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION};
    struct server_hello answer;
    memcpy(hello.tenant, map_header()->tenant, sizeof(hello.tenant));
    memcpy(hello.timeline, map_header()->timeline, sizeof(hello.timeline));
    *refused = false;
    connection_close();
    if (!connect_socket(patience) || !connection_send(&hello, sizeof(hello), patience) || !connection_receive(&answer, sizeof(answer), patience)) return false;
    if (answer.magic != PROTOCOL_MAGIC || answer.message_length > PROTOCOL_MESSAGE_MAX)
        return connection_fail("what listens there is not a pageserver of this protocol version");
    if (!connection_receive_problem(answer.message_length, patience)) return false;
    if (answer.status == STATUS_OK) return true;
    *refused = answer.status != STATUS_SHUTTING_DOWN && answer.status != STATUS_LSN_NOT_AVAILABLE;
    connection_close();
    return false;
}
