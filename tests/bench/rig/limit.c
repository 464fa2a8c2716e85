/* The limit: the least that somebody who records these calls can do. It receives, takes the mask off, decodes the base64
   and appends to a file per connection, with one write for everything that one read brought.

       limit FOLDER

   It serves nobody but load.c: it knows the handshake's only answer, looks for audio where frames.py puts it, and takes
   what is odd for a reason to stop. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __AVX512VBMI__
#include <immintrin.h>
#define DECODER "AVX-512"
#else
#define DECODER "scalar"
#endif

enum { EVENTS = 512, INBOX = 512 * 1024, READ = 256 * 1024, TEXT = 1, CLOSE = 8, INVALID = 0x80 };

struct connection {
    int socket, file;
    bool open;         /* the handshake is over */
    const char *key;   /* of the audio in its messages */
    uint8_t *rest;     /* the beginning of a frame whose end has not come */
    size_t rest_size;
};

static const char *folder;
static uint8_t inbox[INBOX], outbox[INBOX];
static size_t outbox_size;
static uint8_t sextet[256]; /* what a character of base64 stands for */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void make_sextets(void) {
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(sextet, INVALID, sizeof sextet);
    for (int i = 0; i < 64; i++) sextet[(uint8_t)alphabet[i]] = i;
}

#ifdef __AVX512VBMI__
/* 64 characters to 48 bytes at a time (Mula and Lemire, "Base64 encoding and decoding at almost the speed of a memory
   copy", 2018): look up, join sextets to pairs and pairs to triples, drop every fourth byte. How many were decoded. */
static size_t decode_wide(const uint8_t *text, size_t length, uint8_t *out) {
    __m512i low = _mm512_loadu_si512(sextet), high = _mm512_loadu_si512(sextet + 64);
    uint8_t order[64] = {0};
    for (int i = 0; i < 48; i++) order[i] = i / 3 * 4 + 2 - i % 3;
    __m512i triples = _mm512_loadu_si512(order), wrong = _mm512_setzero_si512();
    size_t done = 0;
    for (; length - done > 64; done += 64, out += 48) {
        __m512i characters = _mm512_loadu_si512(text + done);
        __m512i values = _mm512_permutex2var_epi8(low, characters, high);
        wrong = _mm512_or_si512(wrong, _mm512_or_si512(characters, values));
        __m512i pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi16(0x0140));
        __m512i joined = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
        _mm512_mask_storeu_epi8(out, 0xffffffffffff, _mm512_permutexvar_epi8(triples, joined));
    }
    if (_mm512_movepi8_mask(wrong)) die("no base64");
    return done;
}
#else
static size_t decode_wide(const uint8_t *text, size_t length, uint8_t *out) {
    (void)text, (void)length, (void)out;
    return 0;
}
#endif

/* How many bytes the text stands for. */
static size_t decode(const uint8_t *text, size_t length, uint8_t *out) {
    if (length == 0) return 0;
    size_t done = decode_wide(text, length, out), padding = 0;
    uint8_t *end = out + done / 4 * 3, wrong = length % 4 ? INVALID : 0;
    while (padding < 2 && text[length - 1 - padding] == '=') padding++;
    for (; done < length; done += 4, end += 3) {
        bool last = done + 4 == length;
        uint8_t a = sextet[text[done]], b = sextet[text[done + 1]];
        uint8_t c = last && padding > 1 ? 0 : sextet[text[done + 2]];
        uint8_t d = last && padding > 0 ? 0 : sextet[text[done + 3]];
        uint32_t triple = a << 18 | b << 12 | c << 6 | d;
        wrong |= a | b | c | d;
        end[0] = triple >> 16, end[1] = triple >> 8, end[2] = triple;
    }
    if (wrong & INVALID) die("no base64");
    return end - out - padding;
}

static void unmask(uint8_t *data, size_t length, const uint8_t *key) {
    uint64_t eight_bytes, mask;
    memcpy(&mask, key, 4);
    memcpy((uint8_t *)&mask + 4, key, 4);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&eight_bytes, data + i, 8);
        eight_bytes ^= mask;
        memcpy(data + i, &eight_bytes, 8);
    }
    for (; i < length; i++) data[i] ^= key[i % 4];
}

/* The string that belongs to a key: {"key": "string"}. NULL without one. */
static uint8_t *string_of(const char *key, uint8_t *text, size_t length, size_t *size) {
    uint8_t *found = memmem(text, length, key, strlen(key)), *end;
    if (!found) return NULL;
    found += strlen(key) + 1;
    while (*found != '"') found++;
    found++;
    end = memchr(found, '"', text + length - found);
    *size = end - found;
    return found;
}

/* The first message tells the session's id, by which the file is called. */
static void begin_file(struct connection *connection, uint8_t *text, size_t length) {
    size_t size;
    uint8_t *recording = memmem(text, length, "\"recording\"", 11), *id;
    if (recording)
        id = string_of("\"id\"", recording, text + length - recording, &size);
    else
        id = string_of("\"bot_id\"", text, length, &size);
    connection->key = recording ? "\"buffer\"" : "\"chunk\"";
    if (!id) die("no session");
    char path[4096];
    snprintf(path, sizeof path, "%s/%.*s.raw", folder, (int)size, (char *)id);
    connection->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (connection->file < 0) die(path);
}

static void take_message(struct connection *connection, uint8_t *text, size_t length) {
    if (connection->file < 0) begin_file(connection, text, length);
    size_t size;
    uint8_t *audio = string_of(connection->key, text, length, &size);
    if (!audio) die("no audio");
    outbox_size += decode(audio, size, outbox + outbox_size);
}

static void end(struct connection *connection) {
    if (connection->file >= 0) close(connection->file);
    close(connection->socket);
    free(connection->rest);
    free(connection);
}

/* A frame, if it is there as a whole: how many bytes it took. `closed` is set by a close frame. */
static size_t take_frame(struct connection *connection, uint8_t *data, size_t size, bool *closed) {
    size_t header = 6;
    if (size < 2) return 0;
    uint64_t length = data[1] & 127;
    if (length == 126) header = 8;
    if (length == 127) header = 14;
    if (size < header) return 0;
    if (length >= 126) {
        length = 0;
        for (size_t i = 2; i < header - 4; i++) length = length << 8 | data[i];
    }
    if (size - header < length) return 0;
    unmask(data + header, length, data + header - 4);
    if ((data[0] & 15) == TEXT) take_message(connection, data + header, length);
    if ((data[0] & 15) == CLOSE) *closed = true;
    return header + length;
}

/* The request, if it is there as a whole, and its answer: how many bytes it took. */
static size_t shake_hands(struct connection *connection, uint8_t *data, size_t size) {
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    uint8_t *last = memmem(data, size, "\r\n\r\n", 4);
    if (!last) return 0;
    send(connection->socket, answer, sizeof answer - 1, MSG_NOSIGNAL);
    connection->open = true;
    return last + 4 - data;
}

static void write_outbox(struct connection *connection) {
    if (outbox_size && write(connection->file, outbox, outbox_size) != (ssize_t)outbox_size) die("write");
    outbox_size = 0;
}

static void take(struct connection *connection) {
    size_t size = connection->rest_size, done = 0, taken;
    if (size + READ > INBOX) die("too long a frame");
    memcpy(inbox, connection->rest, size);
    ssize_t got = recv(connection->socket, inbox + size, READ, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        end(connection);
        return;
    }
    size += got;
    bool closed = false;
    if (!connection->open) done = shake_hands(connection, inbox, size);
    while (connection->open && !closed && (taken = take_frame(connection, inbox + done, size - done, &closed)))
        done += taken;
    write_outbox(connection);
    if (closed) {
        send(connection->socket, "\x88\x02\x03\xe8", 4, MSG_NOSIGNAL);
        end(connection);
        return;
    }
    connection->rest_size = size - done;
    if (connection->rest_size) {
        connection->rest = realloc(connection->rest, connection->rest_size);
        memcpy(connection->rest, inbox + done, connection->rest_size);
    }
}

static void welcome(int server, int poller) {
    struct connection *connection = calloc(1, sizeof *connection);
    connection->socket = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    connection->file = -1;
    connection->rest = malloc(1);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
    if (connection->socket < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, connection->socket, &wanted)) die("accept");
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "limit FOLDER\n");
        return 2;
    }
    folder = argv[1];
    make_sextets();
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    if (bind(server, (struct sockaddr *)&address, length) || listen(server, 512)) die("listen");
    getsockname(server, (struct sockaddr *)&address, &length);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, server, &wanted);
    printf("{\"event\": \"listening\", \"port\": %d, \"base64\": \"%s\"}\n", ntohs(address.sin_port), DECODER);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                take(events[i].data.ptr);
            else
                welcome(server, poller);
        }
    }
}
