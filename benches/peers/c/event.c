// libevent: a bufferevent a client, whose input becomes its output without a copy.
//
// cc -O2 -o event event.c $(pkg-config --cflags --libs libevent)
//
// event [BYTES]: how many bytes one read may bring.

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static size_t read_max = 16 * 1024;

static void got(struct bufferevent *client, void *nothing) {
    (void)nothing;
    bufferevent_write_buffer(client, bufferevent_get_input(client));
}

static void ended(struct bufferevent *client, short what, void *nothing) {
    (void)what, (void)nothing;
    bufferevent_free(client);
}

static void knocked(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *from, int size,
                    void *nothing) {
    (void)from, (void)size, (void)nothing;
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *client = bufferevent_socket_new(base, socket, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_set_max_single_read(client, read_max);
    bufferevent_setcb(client, got, NULL, ended, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

int main(int count, char **arguments) {
    if (count > 1) read_max = strtoul(arguments[1], NULL, 10);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct event_base *base = event_base_new();
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, knocked, NULL, LEV_OPT_CLOSE_ON_FREE, 4096, (struct sockaddr *)&address, sizeof address);
    if (!listener) return 1;
    socklen_t size = sizeof address;
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size);
    printf("listening tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return event_base_dispatch(base);
}
