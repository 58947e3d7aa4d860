/*
 * fuzz_wire.c - feeds arbitrary server output to the reply parser, and values to the escaper
 *
 * Holds one libFuzzer target; with -DFUZZ_STANDALONE a driver that makes random input from pieces
 * of the protocol.  It aborts when a promise of wire.h is broken: a verdict without its fields, a
 * control character in a name or text, an escape that does not come back, a request with a second
 * line.  Must not do I/O beyond the driver's report.  Privileges: none.
 */
#include "wire.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken promise, line %d: %s\n", __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

/* Nothing, or a token's digits and no others. */
static bool is_token(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");

    return text[length] == '\0' && (length == 0 || length == WIRE_RELEASE_DIGITS);
}

static void check_reply(const struct wire_conversation *seen, const struct wire_reply *reply)
{
    PROMISE(memchr(reply->user, '\0', sizeof(reply->user)) != NULL);
    PROMISE(memchr(reply->reason, '\0', sizeof(reply->reason)) != NULL);
    PROMISE(printable(reply->user) && printable(reply->reason));
    switch (reply->verdict) {
    case WIRE_GRANTED:
        PROMISE(seen->version_seen && seen->plain_offered && seen->greeted);
        PROMISE(reply->user[0] != '\0' && reply->reason[0] == '\0' && reply->why == NULL);
        PROMISE(!reply->unknown);
        PROMISE(is_token(reply->release));
        break;
    case WIRE_DENIED:
        PROMISE(seen->version_seen && seen->plain_offered && seen->greeted);
        PROMISE(reply->user[0] == '\0' && !reply->has_tail && reply->why == NULL);
        PROMISE(reply->release[0] == '\0');
        break;
    case WIRE_UNAVAILABLE:
        PROMISE(reply->user[0] == '\0' && reply->reason[0] == '\0' && !reply->has_tail);
        PROMISE(reply->release[0] == '\0' && reply->why != NULL && !reply->unknown);
        break;
    default:
        PROMISE(false);
    }
}

/* Lines as read_reply() in wire.c would cut them; starting at the greeting or right behind it. */
static void fuzz_lines(const char *data, size_t size, bool greeted)
{
    struct wire_conversation seen = {greeted, greeted, greeted, 0};
    const char *at = data, *end = data + size;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((lf != NULL ? lf : end) - at);
        struct wire_reply reply;
        char *line;
        bool over;

        if (length >= WIRE_MAX_LINE)
            return;
        line = malloc(length > 0 ? length : 1); /* exact, so that one byte too far is seen */
        PROMISE(line != NULL);
        memcpy(line, at, length);
        over = wire_take_line(&seen, line, length, &reply);
        free(line);
        if (over) {
            check_reply(&seen, &reply);
            return;
        }
        at += length + 1;
    }
}

static void fuzz_escape(const char *data, size_t size)
{
    char escaped[2 * 4096], back[4096];
    size_t escaped_length, back_length;

    if (size > sizeof(back))
        size = sizeof(back);
    PROMISE(wire_escape(data, size, escaped, sizeof(escaped), &escaped_length));
    PROMISE(memchr(escaped, '\t', escaped_length) == NULL);
    PROMISE(memchr(escaped, '\n', escaped_length) == NULL);
    PROMISE(memchr(escaped, '\r', escaped_length) == NULL);
    PROMISE(memchr(escaped, '\0', escaped_length) == NULL);
    PROMISE(wire_unescape(escaped, escaped_length, back, sizeof(back), &back_length));
    PROMISE(back_length == size && memcmp(back, data, size) == 0);
}

/* One input is name, password and details in turn; the request stays three lines. */
static void fuzz_request(const char *data, size_t size)
{
    char detail[1024], *buffer;
    size_t length = 0, lines = 0, third = size / 3;
    size_t room = size % 7 == 0 ? third : WIRE_MAX_REQUEST;
    const char *why = NULL;
    struct wire_request request = {
        .user = {data, third},
        .secret = {data + third, third},
        .service = "imap",
        .second_factor_only = size % 2 == 0,
        .look_up = size % 3 == 0,
        .release = size % 5 == 0 ? detail : NULL,
    };

    snprintf(detail, sizeof(detail), "%.*s", (int)(size - 2 * third), data + 2 * third);
    request.session = request.local_name = request.rip = detail;
    buffer = malloc(room + 1);
    PROMISE(buffer != NULL);
    if (wire_render_request(&request, 42, buffer, room, &length, &why)) {
        PROMISE(length <= room && buffer[length - 1] == '\n');
        for (size_t i = 0; i < length; i++)
            lines += buffer[i] == '\n';
        PROMISE(lines == 3);
    } else {
        PROMISE(length == 0 && why != NULL);
    }
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    unsigned ms;

    if (size == 0)
        return 0;
    fuzz_lines(text, size, false);
    fuzz_lines(text, size, true);
    fuzz_escape(text, size);
    fuzz_request(text, size);
    if (memchr(text, '\0', size) != NULL)
        (void)wire_parse_seconds(text, &ms);
    return 0;
}

#ifdef FUZZ_STANDALONE
static const char *const PIECES[] = {"VERSION\t1\t1\n",
                                     "MECH\tPLAIN\n",
                                     "DONE\n",
                                     "OK\t1\t",
                                     "FAIL\t1\t",
                                     "user=",
                                     "reason=",
                                     "code=temp_fail",
                                     "code=unknown",
                                     "tail=",
                                     "release=",
                                     "0123456789abcdef0123456789abcdef",
                                     "\t",
                                     "\n",
                                     "\001",
                                     "t",
                                     "n",
                                     "0",
                                     "1",
                                     "\r",
                                     "=",
                                     "CONT\t1\t",
                                     "nologin",
                                     "\303\251",
                                     "SPID\t1\nCUID\t1\n",
                                     "VERSION",
                                     "temp",
                                     "a",
                                     "anna@example.org",
                                     "OK\t2\t",
                                     "999"};

int main(int argc, char **argv)
{
    static char input[20000];
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
    unsigned long runs = 0;
    unsigned seed = (unsigned)time(NULL);

    fprintf(stderr, "seed %u\n", seed);
    srandom(seed);
    while (runs % 1024 != 0 || time(NULL) < end) {
        size_t used = 0, pieces = (size_t)random() % 40;

        while (pieces-- > 0 && used < sizeof(input) - 8200) {
            long choice = random() % 32;

            if (choice == 0) {
                size_t run = (size_t)random() % 8200;

                memset(input + used, (int)random(), run);
                used += run;
            } else if (choice == 1) {
                input[used++] = (char)random();
            } else {
                const char *piece = PIECES[(size_t)random() % (sizeof(PIECES) / sizeof(PIECES[0]))];

                memcpy(input + used, piece, strlen(piece));
                used += strlen(piece);
            }
        }
        LLVMFuzzerTestOneInput((const uint8_t *)input, used);
        runs++;
    }
    fprintf(stderr, "%lu inputs, no finding\n", runs);
    return 0;
}
#endif
