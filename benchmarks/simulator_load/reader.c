/* Reads many streams of one simulator at next to no cost: one epoll loop, one buffer.

   reader PORT STREAMS SECONDS RAMP BODY

   Opens STREAMS connections, RAMP of them a second (0: all at once), posts BODY on each, and
   counts bytes and the "\n\n" that end events. After the head has come, nothing is parsed. Ends
   when all streams have ended or after SECONDS. Prints one line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, BATCH = 1024 };

struct stream {
    int fd;
    int is_sent;
    char last; /* bytes of the block before */
    char tail[5];
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static long events_in(struct stream *s, const char *data, ssize_t size) {
    long found = 0;
    const char *end = data + size;
    for (const char *at = data; at < end && (at = memchr(at, '\n', end - at)); at++)
        found += (at > data ? at[-1] : s->last) == '\n';
    s->last = end[-1];
    return found;
}

static int is_over(struct stream *s, const char *data, ssize_t size) {
    /* The last HTTP chunk, even if it comes in two reads. */
    ssize_t taken = size < 5 ? size : 5;
    memmove(s->tail, s->tail + taken, 5 - taken);
    memcpy(s->tail + 5 - taken, data + size - taken, taken);
    return memcmp(s->tail, "0\r\n\r\n", 5) == 0;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int port = atoi(argv[1]), count = atoi(argv[2]);
    double seconds = atof(argv[3]), ramp = atof(argv[4]);
    char *request;
    int length = asprintf(&request,
                          "POST /chat/completions HTTP/1.1\r\nHost: simulator\r\n"
                          "Authorization: Bearer sk-load\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          strlen(argv[5]), argv[5]);
    struct rlimit files = {count + 64, count + 64};
    setrlimit(RLIMIT_NOFILE, &files);
    struct stream *streams = calloc(count, sizeof *streams);
    struct epoll_event *ready = calloc(BATCH, sizeof *ready);
    static char buffer[BUFFER];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int poll = epoll_create1(0);
    int opened = 0, ended = 0, failed = 0;
    long events = 0, bytes = 0;
    double started = now(), all_open = 0;
    while (ended + failed < count && now() - started < seconds) {
        int due = ramp > 0 ? (int)((now() - started) * ramp) + 1 : count;
        for (; opened < count && opened < due; opened++) {
            struct stream *s = &streams[opened];
            s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            int one = 1;
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            struct epoll_event wanted = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                         .data.ptr = s};
            if (s->fd < 0 || (connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0 &&
                              errno != EINPROGRESS)) {
                failed++;
                continue;
            }
            epoll_ctl(poll, EPOLL_CTL_ADD, s->fd, &wanted);
        }
        if (opened == count && all_open == 0) all_open = now() - started;
        int found = epoll_wait(poll, ready, BATCH, opened < count ? 2 : 100);
        for (int i = 0; i < found; i++) {
            struct stream *s = ready[i].data.ptr;
            if (!s->is_sent && ready[i].events & EPOLLOUT) {
                s->is_sent = send(s->fd, request, length, MSG_NOSIGNAL) == length;
                struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = s};
                epoll_ctl(poll, EPOLL_CTL_MOD, s->fd, &wanted);
            }
            if (!(ready[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) continue;
            ssize_t size = recv(s->fd, buffer, BUFFER, 0);
            if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (size <= 0) {
                failed++;
                close(s->fd);
                continue;
            }
            bytes += size;
            events += events_in(s, buffer, size);
            if (is_over(s, buffer, size)) {
                ended++;
                close(s->fd);
            }
        }
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"streams\":%d,\"ended\":%d,\"failed\":%d,\"events\":%ld,\"bytes\":%ld,"
           "\"opening_seconds\":%.3f,\"seconds\":%.3f,\"cpu_seconds\":%.3f}\n",
           opened, ended, failed, events, bytes, all_open, now() - started,
           used.ru_utime.tv_sec + used.ru_stime.tv_sec +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return ended == count ? 0 : 1;
}
