// A load in C, as cheap as one can be that does what a load has to: a closed loop of 64-byte messages, one in flight on
// each connection, every byte of each answer compared, and the time of each taken and put into a histogram.
//
// cc -O2 -o client client.c
//
// client PORT CONNECTIONS MILLISECONDS WARMUP_MS, prints {"messages":N,"cpu_ns":M} of the time behind the warm-up.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, EVENTS = 1024 };

struct connection {
    int socket;
    size_t got;
    uint64_t number, sent;
    unsigned char message[SIZE], answer[SIZE];
};

// As an HdrHistogram has it: 128 buckets for each power of two.
static uint64_t histogram[64 * 128];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

static void record(uint64_t time) {
    unsigned shift = time < 128 ? 0 : 64 - __builtin_clzll(time) - 7;
    histogram[shift * 128 + (time >> shift)]++;
}

static void fail(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

// Different for each connection and message, so that no answer to another is taken for this one's.
static void ask(struct connection *connection) {
    uint64_t word = (connection->number++ + ((uint64_t)connection->socket << 40)) * 0x9e3779b97f4a7c15ull;
    for (size_t at = 0; at < SIZE; at += sizeof word, word += 0x632be59bd9b4e019ull)
        memcpy(connection->message + at, &word, sizeof word);
    connection->got = 0;
    connection->sent = now();
    if (send(connection->socket, connection->message, SIZE, MSG_NOSIGNAL) != SIZE) fail("send");
}

// Returns whether an answer was complete.
static int take(struct connection *connection) {
    ssize_t count = recv(connection->socket, connection->answer + connection->got, SIZE - connection->got, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) fail("recv");
    connection->got += count;
    if (connection->got < SIZE) return 0;
    record(now() - connection->sent);
    if (memcmp(connection->answer, connection->message, SIZE) != 0) {
        fprintf(stderr, "client: a wrong answer\n");
        exit(1);
    }
    return 1;
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "client PORT CONNECTIONS MILLISECONDS WARMUP_MS\n");
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connections = atoi(arguments[2]), on = 1, poll = epoll_create1(0);
    struct connection *all = calloc(connections, sizeof *all);
    for (int index = 0; index < connections; index++) {
        int socket_ = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(socket_, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
        setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        all[index].socket = socket_;
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &all[index]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, socket_, &event) != 0) fail("epoll_ctl");
        ask(&all[index]);
    }
    uint64_t begin = now() + atoll(arguments[4]) * 1000000, end = begin + atoll(arguments[3]) * 1000000;
    uint64_t messages = 0, used = 0;
    int measuring = 0;
    struct epoll_event events[EVENTS];
    for (uint64_t time = 0; time < end; time = now()) {
        if (!measuring && time >= begin) measuring = 1, messages = 0, used = cpu();
        int ready = epoll_wait(poll, events, EVENTS, 100);
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            // An answer that came whole leaves nothing to read, and the next is yet to be asked for.
            if (take(connection)) {
                messages++;
                ask(connection);
            }
        }
    }
    printf("{\"messages\":%lu,\"cpu_ns\":%lu}\n", messages, cpu() - used);
    return 0;
}
