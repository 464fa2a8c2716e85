/* The load: many websocket connections that send frames made before, as fast as the server takes them or in real time.

       load FRAMES PORT PACE_MS WARM [LOG]

   FRAMES is laid out as frames.py says. With PACE_MS, each connection sends a frame so often, the connections evenly
   one after the other; without (0), all send as much as their sockets take. The first WARM frames of each connection
   are sent apart from the others. LOG gets, in paced runs, when each frame had been handed to the kernel: a double of
   CLOCK_MONOTONIC per frame, connection by connection.

   It says on stdout how far it is, and goes on when a line comes on stdin:

       ready         all connections are open
       warm          all have sent their first WARM frames (and the kernel has them)
       sent {...}    all have sent everything; how it went, as JSON
       closed        all connections are closed, by us and properly

   What the server sends (pings) is read and thrown away. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, MOST_AT_ONCE = 256 * 1024, LOOK_EVERY = 64 };

struct connection {
    int socket;
    uint64_t sent;  /* up to where in FRAMES the kernel has our bytes */
    uint64_t due;   /* up to where they are to be sent by now */
    uint32_t frame; /* the first frame that the kernel has not wholly */
    bool waiting;   /* until the socket takes more */
    bool closing;
};

static const uint8_t *frames;
static const uint64_t *offset; /* of each frame in `frames`, and of the end */
static uint32_t connections, frames_each;
static struct connection *all;
static int poller;
static double *sent_at;
static double worst_lag;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void sleep_until(double time) {
    if (time <= now()) return;
    struct timespec at = {.tv_sec = (time_t)time, .tv_nsec = (long)((time - (time_t)time) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void wait_for_word(void) {
    char line[64];
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static uint64_t begin_of(uint32_t connection, uint32_t frame) {
    return offset[(uint64_t)connection * frames_each + frame];
}

static void map_frames(const char *path) {
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status)) die(path);
    frames = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    if (frames == MAP_FAILED) die("mmap");
    connections = ((const uint32_t *)frames)[0];
    frames_each = ((const uint32_t *)frames)[1];
    offset = (const uint64_t *)(frames + 8);
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

static void watch(struct connection *connection, int operation, bool for_room) {
    struct epoll_event wanted = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->socket, &wanted)) die("epoll_ctl");
    connection->waiting = for_room;
}

/* Send what is due, at most so much that the others have their turn; whether all is sent. */
static bool push(struct connection *connection) {
    uint64_t length = connection->due - connection->sent;
    if (length > MOST_AT_ONCE) length = MOST_AT_ONCE;
    ssize_t taken = send(connection->socket, frames + connection->sent, length, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) die("send");
    if (taken > 0) connection->sent += taken;
    if (sent_at) {
        uint32_t number = connection - all;
        double time = now();
        while (connection->frame < frames_each && begin_of(number, connection->frame + 1) <= connection->sent)
            sent_at[(uint64_t)number * frames_each + connection->frame++] = time;
    }
    bool rest = connection->sent < connection->due;
    if (rest != connection->waiting) watch(connection, EPOLL_CTL_MOD, rest);
    return !rest;
}

/* Throw away what came; whether the connection is at its end. */
static bool drain(struct connection *connection) {
    char waste[4096];
    ssize_t got = recv(connection->socket, waste, sizeof waste, 0);
    if (got > 0 || (got < 0 && errno == EAGAIN)) return false;
    if (!connection->closing) {
        fprintf(stderr, "the server closed a connection\n");
        exit(1);
    }
    return true;
}

/* Look after the sockets that want something; how many of them have sent all that was due by it. */
static uint32_t serve(int patience) {
    struct epoll_event events[EVENTS];
    uint32_t done = 0;
    int count = epoll_wait(poller, events, EVENTS, patience);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & ~EPOLLOUT) drain(connection);
        if (events[i].events & EPOLLOUT) done += push(connection);
    }
    return done;
}

static void send_at_once(uint32_t last) {
    uint32_t done = 0;
    for (uint32_t i = 0; i < connections; i++) {
        all[i].due = begin_of(i, last);
        done += push(&all[i]);
    }
    while (done < connections) done += serve(-1);
}

/* Frame by frame, when each is due. A socket that is full gets its frames later; that is a lag. */
static void send_paced(uint32_t first, uint32_t last, double pace) {
    uint64_t total = (uint64_t)connections * (last - first);
    double begin = now();
    for (uint64_t i = 0; i < total; i++) {
        double due = begin + i * pace / connections;
        sleep_until(due);
        struct connection *connection = &all[i % connections];
        connection->due = begin_of(i % connections, first + i / connections + 1);
        push(connection);
        double lag = now() - due;
        if (lag > worst_lag) worst_lag = lag;
        if (i % LOOK_EVERY == 0) serve(0);
    }
    for (uint32_t i = 0; i < connections; i++)
        while (all[i].sent < all[i].due) serve(-1);
}

static void send_frames(uint32_t first, uint32_t last, double pace) {
    if (first == last) return;
    if (pace > 0)
        send_paced(first, last, pace);
    else
        send_at_once(last);
}

static void close_all(void) {
    static const uint8_t normal_closure[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    for (uint32_t i = 0; i < connections; i++) {
        all[i].closing = true;
        if (send(all[i].socket, normal_closure, sizeof normal_closure, MSG_NOSIGNAL) < 0) die("close");
    }
    for (uint32_t i = 0; i < connections; i++) {
        fcntl(all[i].socket, F_SETFL, 0);
        while (!drain(&all[i])) {
        }
        close(all[i].socket);
    }
}

static void write_log(const char *path) {
    FILE *log = fopen(path, "wb");
    size_t count = (size_t)connections * frames_each;
    if (!log || fwrite(sent_at, sizeof *sent_at, count, log) != count || fclose(log)) die(path);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "load FRAMES PORT PACE_MS WARM [LOG]\n");
        return 2;
    }
    int port = atoi(argv[2]);
    double pace = atof(argv[3]) / 1000;
    uint32_t warm = atoi(argv[4]);
    map_frames(argv[1]);
    prctl(PR_SET_TIMERSLACK, 1);
    all = calloc(connections, sizeof *all);
    if (argc > 5) sent_at = calloc((size_t)connections * frames_each, sizeof *sent_at);
    poller = epoll_create1(0);
    for (uint32_t i = 0; i < connections; i++) {
        all[i].socket = dial(port);
        all[i].sent = all[i].due = begin_of(i, 0);
        watch(&all[i], EPOLL_CTL_ADD, false);
    }
    say("ready");

    wait_for_word();
    send_frames(0, warm, pace);
    say("warm");

    wait_for_word();
    worst_lag = 0;
    double begin = now();
    send_frames(warm, frames_each, pace);
    double seconds = now() - begin;
    if (sent_at) write_log(argv[5]);
    printf("sent {\"seconds\": %.6f, \"worst_lag\": %.6f}\n", seconds, worst_lag);
    fflush(stdout);

    wait_for_word();
    close_all();
    say("closed");
    return 0;
}
