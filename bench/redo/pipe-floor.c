/*
 * How long a page of 8 KiB that is in no cache takes to another process and back, over two pipes: the least that redo in a separate process
 * costs, before any redo is done. Prints the median of the rounds in nanoseconds a round trip.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* 256 MiB of pages, visited far from one another, as in pages.ts. */
enum { PAGE = 8192, PAGES = 32768, STRIDE = 20011, ROUNDS = 15 };

static int receive(int fd, char *bytes)
{
    for (size_t done = 0; done < PAGE;) {
        ssize_t n = read(fd, bytes + done, PAGE - done);
        if (n <= 0)
            return 0;
        done += (size_t)n;
    }
    return 1;
}

static int send(int fd, const char *bytes)
{
    for (size_t done = 0; done < PAGE;) {
        ssize_t n = write(fd, bytes + done, PAGE - done);
        if (n <= 0)
            return 0;
        done += (size_t)n;
    }
    return 1;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static char page[PAGE];
    static int64_t rounds[ROUNDS];
    int request[2], response[2];
    if (pipe(request) != 0 || pipe(response) != 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        close(request[1]);
        while (receive(request[0], page) && send(response[1], page))
            continue;
        _exit(0);
    }
    char *pages = malloc((size_t)PAGES * PAGE);
    if (pages == NULL)
        return 1;
    memset(pages, 1, (size_t)PAGES * PAGE);
    size_t at = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t from = now();
        for (int i = 0; i < PAGES / ROUNDS; i++, at = (at + STRIDE) % PAGES)
            if (!send(request[1], pages + at * PAGE) || !receive(response[0], page))
                return 1;
        rounds[round] = (now() - from) / (PAGES / ROUNDS);
    }
    close(request[1]);
    waitpid(child, NULL, 0);
    free(pages);
    qsort(rounds, ROUNDS, sizeof rounds[0], ascending);
    printf("%lld\n", (long long)rounds[ROUNDS / 2]);
    return 0;
}
