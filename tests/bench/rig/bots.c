/* The bots: many websocket connections that are spoken to, and note when every chunk came.

       bots WORDS PORT PACE_MS SPEECH STEP CHUNKS LOG

   WORDS and SPEECH are laid out as frames.py says. Each bot says its first frame of WORDS, and the others as time goes
   by, one every PACE_MS, the bots evenly one after the other. It has to hear CHUNKS messages, byte by byte those of
   SPEECH, round and round, the first bot from its beginning, each other one STEP messages later than the one before.
   LOG gets two doubles of CLOCK_MONOTONIC for each chunk, bot by bot: when the kernel had it for this socket, which is
   when the server sent it, and when it was read here.

   It says on stdout how far it is, and goes on when a line comes on stdin:

       ready         all connections are open
       greeted       all have said their first frame
       heard         all have heard everything
       closed        all connections are closed, by us and properly

   Anything else that is heard ends it, with a word on stderr. */

#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 512, INBOX = 64 * 1024, CLOSE = 0x88, PING = 0x89, PONG = 0x8a, TEXT = 0x81, MASKED = 0x80 };

struct bot {
    int socket;
    uint32_t heard;
    size_t held; /* bytes of a frame whose end has not come */
    uint8_t inbox[INBOX];
};

struct times {
    double sent, read;
};

static struct frames words, speech;
static struct bot *all;
static struct times *log_;
static uint32_t chunks, step, done;
static int poller;

static void fail(const struct bot *bot, const char *format, ...) {
    va_list values;
    va_start(values, format);
    fprintf(stderr, "bot %d, message %u: ", (int)(bot - all), bot->heard);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    exit(1);
}

static void utter(const struct bot *bot, const void *bytes, size_t length) {
    if (send(bot->socket, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) fail(bot, "the server does not read");
}

static void say_frame(uint32_t number, uint32_t frame) {
    uint64_t begin = begin_of(&words, number, frame);
    utter(&all[number], words.bytes + begin, begin_of(&words, number, frame + 1) - begin);
}

static void compare(struct bot *bot, const uint8_t *message, size_t length, struct times times) {
    uint32_t number = bot - all;
    if (bot->heard == chunks) fail(bot, "one too many");
    uint32_t expected = ((uint64_t)number * step + bot->heard) % speech.each;
    uint64_t begin = begin_of(&speech, 0, expected);
    if (length != begin_of(&speech, 0, expected + 1) - begin) fail(bot, "%zu bytes: %.80s", length, message);
    if (memcmp(message, speech.bytes + begin, length)) fail(bot, "a byte is another one");
    log_[(uint64_t)number * chunks + bot->heard++] = times;
    if (bot->heard == chunks) done++;
}

/* Take one frame of `room` bytes; its length, or 0 when its end is not there. */
static size_t take(struct bot *bot, const uint8_t *frame, size_t room, struct times times) {
    if (room < 2) return 0;
    size_t length = frame[1], begin = 2;
    if (length == 126) {
        if (room < 4) return 0;
        length = frame[2] << 8 | frame[3];
        begin = 4;
    } else if (length > 126) {
        fail(bot, "a frame that is masked or too long");
    }
    if (begin + length > room) return 0;
    if (frame[0] == TEXT) {
        compare(bot, frame + begin, length, times);
    } else if (frame[0] == PING && begin == 2) {
        uint8_t pong[6 + 125] = {PONG, MASKED | length};
        memcpy(pong + 6, frame + begin, length);
        utter(bot, pong, 6 + length);
    } else if (frame[0] != CLOSE) {
        fail(bot, "a frame that begins with %02x", frame[0]);
    }
    return begin + length;
}

/* Read once, with the kernel's own time for what came; how many bytes that were, -1 if there is nothing. */
static ssize_t receive(struct bot *bot, struct times *times) {
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec room = {bot->inbox + bot->held, INBOX - bot->held};
    struct msghdr header = {.msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(bot->socket, &header, 0);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    times->sent = times->read = now();
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&header); got > 0 && each; each = CMSG_NXTHDR(&header, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SO_TIMESTAMPNS) continue;
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
        times->sent -= (wall.tv_sec - stamp.tv_sec) + (wall.tv_nsec - stamp.tv_nsec) * 1e-9;
    }
    return got;
}

/* Take what came; false when the connection is at its end. */
static bool hear(struct bot *bot) {
    struct times times;
    ssize_t got = receive(bot, &times);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    bot->held += got;
    size_t taken = 0, length;
    while ((length = take(bot, bot->inbox + taken, bot->held - taken, times))) taken += length;
    bot->held -= taken;
    memmove(bot->inbox, bot->inbox + taken, bot->held);
    if (bot->held == INBOX) fail(bot, "a frame that is too long");
    return true;
}

static int timer_at(double begin, double pace) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec when = {.it_value = {begin, (begin - (time_t)begin) * 1e9}, .it_interval = {pace, (pace - (time_t)pace) * 1e9}};
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL)) die("timer");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, timer, &wanted)) die("epoll_ctl");
    return timer;
}

/* Hear everything, and say a frame at each beat of a timer, bot by bot. */
static void meet(double pace) {
    uint64_t said = words.connections, last = (uint64_t)words.connections * words.each, beats;
    int timer = said < last ? timer_at(now() + pace, pace / words.connections) : -1;
    while (done < words.connections) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct bot *bot = events[i].data.ptr;
            if (bot && !hear(bot)) fail(bot, "the server closed the connection");
            if (bot || read(timer, &beats, sizeof beats) < 0) continue;
            for (; beats && said < last; beats--, said++) say_frame(said % words.connections, said / words.connections);
        }
    }
    if (timer >= 0) close(timer);
}

static void close_all(void) {
    static const uint8_t normal_closure[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    for (uint32_t i = 0; i < words.connections; i++) utter(&all[i], normal_closure, sizeof normal_closure);
    for (uint32_t i = 0; i < words.connections; i++) {
        fcntl(all[i].socket, F_SETFL, 0);
        while (hear(&all[i])) {
        }
        close(all[i].socket);
    }
}

static void write_log(const char *path) {
    FILE *file = fopen(path, "wb");
    size_t count = (size_t)words.connections * chunks;
    if (!file || fwrite(log_, sizeof *log_, count, file) != count || fclose(file)) die(path);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "bots WORDS PORT PACE_MS SPEECH STEP CHUNKS LOG\n");
        return 2;
    }
    words = map_frames(argv[1]);
    speech = map_frames(argv[4]);
    step = atoi(argv[5]);
    chunks = atoi(argv[6]);
    prctl(PR_SET_TIMERSLACK, 1);
    all = calloc(words.connections, sizeof *all);
    log_ = calloc((size_t)words.connections * chunks, sizeof *log_);
    poller = epoll_create1(0);
    for (uint32_t i = 0; i < words.connections; i++) {
        int yes = 1;
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].socket = dial(atoi(argv[2]));
        if (setsockopt(all[i].socket, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes)) die("SO_TIMESTAMPNS");
        if (epoll_ctl(poller, EPOLL_CTL_ADD, all[i].socket, &wanted)) die("epoll_ctl");
    }
    say("ready");

    wait_for_word();
    for (uint32_t i = 0; i < words.connections; i++) say_frame(i, 0);
    say("greeted");
    meet(atof(argv[3]) / 1000);
    write_log(argv[7]);
    say("heard");

    wait_for_word();
    close_all();
    say("closed");
    return 0;
}
