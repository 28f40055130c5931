/* A page server with faults to order: one thread of control, poll() over all connections, every page computed. */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

#define CONNECTIONS_MAX 64

static bool receive(int fd, void *bytes, size_t length) { return recv(fd, bytes, length, MSG_WAITALL) == (ssize_t)length; }

static bool transmit(int fd, const void *bytes, size_t length) {
    for (const char *at = bytes; length > 0;) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool welcome(int fd, struct server_control *control) {
    struct client_hello hello;
    if (!receive(fd, &hello, sizeof(hello)) || hello.magic != PROTOCOL_MAGIC || hello.version != PROTOCOL_VERSION) return false;
    const char *message = control->hello_status == STATUS_OK ? "" : "not today";
    struct server_hello answer = {.magic = control->garbage == 1 ? 0x12345678 : PROTOCOL_MAGIC, .status = control->hello_status, .message_length = (uint32_t)strlen(message)};
    return transmit(fd, &answer, sizeof(answer)) && transmit(fd, message, answer.message_length) && answer.status == STATUS_OK;
}

static bool serve(int fd, struct server_control *control) {
    static struct page pages[PROTOCOL_PAGES_MAX];
    struct page_request request;
    if (!receive(fd, &request, sizeof(request)) || request.type != PROTOCOL_GET_PAGES || request.count < 1 || request.count > PROTOCOL_PAGES_MAX) return false;
    uint32_t delay = control->delay_us + (control->delay_random_us == 0 ? 0 : (uint32_t)rand() % control->delay_random_us);
    if (delay > 0) usleep(delay);
    if (control->garbage == 2) {
        struct page_response answer = {.id = request.id, .status = STATUS_OK, .count = request.count, .length = 0x7fffffff};
        return transmit(fd, &answer, sizeof(answer));
    }
    uint32_t bad = control->fail_block;
    if (control->fail_status != 0 && control->fail_times > 0 && bad >= request.block && bad < request.block + request.count) {
        control->fail_times--;
        static const char message[] = "ordered\nby the test";
        struct page_response answer = {.id = request.id, .status = control->fail_status, .length = sizeof(message) - 1};
        return transmit(fd, &answer, sizeof(answer)) && transmit(fd, message, sizeof(message) - 1);
    }
    for (uint32_t i = 0; i < request.count; i++) page_fill(&pages[i], request.rel, request.fork, request.block + i, 0);
    struct page_response answer = {.id = request.id + (control->garbage == 3), .status = STATUS_OK, .count = request.count, .length = request.count * BLOCK_SIZE};
    if (!transmit(fd, &answer, sizeof(answer))) return false;
    if (control->drop_one_in > 0 && (uint32_t)rand() % control->drop_one_in == 0) {
        control->drops++;
        transmit(fd, pages, (size_t)rand() % answer.length);
        return false;
    }
    control->requests++;
    control->pages += request.count;
    return transmit(fd, pages, answer.length);
}

void page_server(const char *socket_path, struct server_control *control) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, CONNECTIONS_MAX) == 0);
    struct pollfd pollers[CONNECTIONS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
    int count = 1;
    for (;;) {
        CHECK(poll(pollers, (nfds_t)count, -1) > 0);
        for (int i = count - 1; i > 0; i--) {
            if (pollers[i].revents == 0 || serve(pollers[i].fd, control)) continue;
            close(pollers[i].fd);
            pollers[i] = pollers[--count];
        }
        if (pollers[0].revents != 0) {
            int fd = accept(listener, NULL, NULL);
            CHECK(fd >= 0);
            control->connections++;
            if (count <= CONNECTIONS_MAX && welcome(fd, control))
                pollers[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
            else
                close(fd);
        }
    }
}
