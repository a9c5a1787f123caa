// libuv: one buffer for all reads, an attempt to write at once, and a queued write for what that has not taken.
//
// cc -O2 -o uv uv.c $(pkg-config --cflags --libs libuv)
//
// uv [BYTES]: how many bytes one read may bring, 64 KiB as libuv suggests unless it is given.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

static char *room;
static size_t room_size = 64 * 1024;

struct rest {
    uv_write_t request;
    uv_buf_t bytes;
};

static void close_it(uv_handle_t *handle) { free(handle); }

static void wrote(uv_write_t *request, int status) {
    (void)status;
    struct rest *rest = (struct rest *)request;
    free(rest->bytes.base);
    free(rest);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(room, room_size);
}

static void got(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0) {
        uv_close((uv_handle_t *)stream, close_it);
        return;
    }
    uv_buf_t bytes = uv_buf_init(buffer->base, count);
    int written = uv_try_write(stream, &bytes, 1);
    if (written < 0) written = 0;
    if (written == count) return;
    struct rest *rest = malloc(sizeof *rest);
    size_t left = count - written;
    rest->bytes = uv_buf_init(malloc(left), left);
    memcpy(rest->bytes.base, buffer->base + written, left);
    uv_write(&rest->request, stream, &rest->bytes, 1, wrote);
}

static void knocked(uv_stream_t *listener, int status) {
    if (status < 0) return;
    uv_tcp_t *client = malloc(sizeof *client);
    uv_tcp_init(listener->loop, client);
    if (uv_accept(listener, (uv_stream_t *)client) != 0) {
        uv_close((uv_handle_t *)client, close_it);
        return;
    }
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, lend, got);
}

int main(int count, char **arguments) {
    // Writing to who has reset the connection would end the program: that is left to it (the signal handling of libuv's guide).
    signal(SIGPIPE, SIG_IGN);
    if (count > 1) room_size = strtoul(arguments[1], NULL, 10);
    room = malloc(room_size);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &listener);
    uv_tcp_bind(&listener, (struct sockaddr *)&address, 0);
    if (uv_listen((uv_stream_t *)&listener, 4096, knocked) != 0) return 1;
    int size = sizeof address;
    uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size);
    printf("listening tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
