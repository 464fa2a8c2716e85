/* What our clients in C have in common: frames that were made before, steps that are told, a websocket's handshake. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* Laid out as frames.py says. */
struct frames {
    const uint8_t *bytes;
    const uint64_t *offset; /* of each frame in `bytes`, and of the end */
    uint32_t connections, each;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double seconds_of(struct timespec time) { return time.tv_sec + time.tv_nsec * 1e-9; }

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return seconds_of(time);
}

static void wait_for_word(void) {
    char line[64];
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static uint64_t begin_of(const struct frames *of, uint32_t connection, uint32_t frame) {
    return of->offset[(uint64_t)connection * of->each + frame];
}

static struct frames map_frames(const char *path) {
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status)) die(path);
    const uint8_t *bytes = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    if (bytes == MAP_FAILED) die("mmap");
    const uint32_t *counts = (const uint32_t *)bytes;
    return (struct frames){bytes, (const uint64_t *)(bytes + 8), counts[0], counts[1]};
}

/* The key and its answer are the example of RFC 6455, 1.3. */
static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (socket_ < 0) die("socket");
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(socket_, (struct sockaddr *)&address, sizeof address)) die("connect");
    char request[256], answer[4096] = "";
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          port);
    if (send(socket_, request, length, MSG_NOSIGNAL) != length) die("handshake");
    for (size_t got = 0; !strstr(answer, "\r\n\r\n");) {
        ssize_t more = recv(socket_, answer + got, sizeof answer - 1 - got, 0);
        if (more <= 0) die("handshake");
        got += more;
    }
    if (strncmp(answer, "HTTP/1.1 101", 12) || !strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
        fprintf(stderr, "no websocket: %s", answer);
        exit(1);
    }
    fcntl(socket_, F_SETFL, O_NONBLOCK);
    return socket_;
}
