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
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
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

static struct frames call;
static struct connection *all;
static int poller;
static double *sent_at;
static double worst_lag;

static void sleep_until(double time) {
    if (time <= now()) return;
    struct timespec at = {.tv_sec = (time_t)time, .tv_nsec = (long)((time - (time_t)time) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
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
    ssize_t taken = send(connection->socket, call.bytes + connection->sent, length, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) die("send");
    if (taken > 0) connection->sent += taken;
    if (sent_at) {
        uint32_t number = connection - all;
        double time = now();
        while (connection->frame < call.each && begin_of(&call, number, connection->frame + 1) <= connection->sent)
            sent_at[(uint64_t)number * call.each + connection->frame++] = time;
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
    for (uint32_t i = 0; i < call.connections; i++) {
        all[i].due = begin_of(&call, i, last);
        done += push(&all[i]);
    }
    while (done < call.connections) done += serve(-1);
}

/* Frame by frame, when each is due. A socket that is full gets its frames later; that is a lag. */
static void send_paced(uint32_t first, uint32_t last, double pace) {
    uint64_t total = (uint64_t)call.connections * (last - first);
    double begin = now();
    for (uint64_t i = 0; i < total; i++) {
        double due = begin + i * pace / call.connections;
        sleep_until(due);
        struct connection *connection = &all[i % call.connections];
        connection->due = begin_of(&call, i % call.connections, first + i / call.connections + 1);
        push(connection);
        double lag = now() - due;
        if (lag > worst_lag) worst_lag = lag;
        if (i % LOOK_EVERY == 0) serve(0);
    }
    for (uint32_t i = 0; i < call.connections; i++)
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
    for (uint32_t i = 0; i < call.connections; i++) {
        all[i].closing = true;
        if (send(all[i].socket, normal_closure, sizeof normal_closure, MSG_NOSIGNAL) < 0) die("close");
    }
    for (uint32_t i = 0; i < call.connections; i++) {
        fcntl(all[i].socket, F_SETFL, 0);
        while (!drain(&all[i])) {
        }
        close(all[i].socket);
    }
}

static void write_log(const char *path) {
    FILE *log = fopen(path, "wb");
    size_t count = (size_t)call.connections * call.each;
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
    call = map_frames(argv[1]);
    prctl(PR_SET_TIMERSLACK, 1);
    all = calloc(call.connections, sizeof *all);
    if (argc > 5) sent_at = calloc((size_t)call.connections * call.each, sizeof *sent_at);
    poller = epoll_create1(0);
    for (uint32_t i = 0; i < call.connections; i++) {
        all[i].socket = dial(port);
        all[i].sent = all[i].due = begin_of(&call, i, 0);
        watch(&all[i], EPOLL_CTL_ADD, false);
    }
    say("ready");

    wait_for_word();
    send_frames(0, warm, pace);
    say("warm");

    wait_for_word();
    worst_lag = 0;
    double begin = now();
    send_frames(warm, call.each, pace);
    double seconds = now() - begin;
    if (sent_at) write_log(argv[5]);
    printf("sent {\"seconds\": %.6f, \"worst_lag\": %.6f}\n", seconds, worst_lag);
    fflush(stdout);

    wait_for_word();
    close_all();
    say("closed");
    return 0;
}
