/*
 * driver.c - asks a Dovecot authentication server for logins as fast as it answers, and counts
 *
 *     driver SOCKET CONNECTIONS DEPTH WARM-UP_S SECONDS again|once REQUESTS
 *
 * REQUESTS is a file; each line is what stands behind `AUTH <tab> id <tab>`.  `again` goes round
 * the file, `once` stops at its end.  Each connection has DEPTH requests under way (1: it waits
 * for each reply).  What is answered within the warm-up is not counted.
 *
 * Prints one JSON object: logins answered (all, warm-up included), granted and denied, errors (connections lost, replies that make
 * no sense), seconds counted, latencies, and the driver's own CPU time, which the server does not
 * get where both share the cores.
 *
 * Must stay light: one thread, one read and one write per reply, nothing allocated on the way.
 * Privileges: whatever connecting to the socket takes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define SLOT_BITS       6
#define MAX_DEPTH       (1 << SLOT_BITS)
#define MAX_REQUEST     2048
#define MAX_SAMPLES     4000000
#define MAX_LOST        1000

struct connection {
    int fd;
    bool greeted;
    uint32_t sequence;
    uint64_t asked_at[MAX_DEPTH]; /* 0: the slot is free */
    size_t in_length;
    size_t out_length;
    char in[32768];
    char out[MAX_DEPTH * MAX_REQUEST];
};

static const char *socket_path;
static int depth;
static bool only_once;
static char **requests;
static size_t request_count, next_request;
static uint64_t counted_from, ends_at, last_reply;
static uint64_t answered, granted, denied, errors;
static uint32_t *samples; /* tenths of a microsecond */
static size_t sample_count;
static size_t under_way, lost;
static uint32_t next_pid;
static struct connection *connections;

static void fail(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_requests(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        fail(path);
    char *text = malloc((size_t)status.st_size + 1);
    if (text == NULL || read(fd, text, (size_t)status.st_size) != status.st_size)
        fail(path);
    text[status.st_size] = '\0';
    close(fd);
    for (char *c = text; *c != '\0'; c++)
        request_count += *c == '\n';
    requests = calloc(request_count + 1, sizeof(*requests));
    if (requests == NULL || request_count == 0)
        fail("no requests");
    char *line = text;
    for (size_t i = 0; i < request_count; i++) {
        char *end = strchr(line, '\n');
        *end = '\0';
        if (end - line > MAX_REQUEST - 32)
            fail("a request is too long");
        requests[i] = line;
        line = end + 1;
    }
}

static void send_out(struct connection *c)
{
    size_t sent = 0;
    while (sent < c->out_length) {
        ssize_t n = send(c->fd, c->out + sent, c->out_length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* the end of the connection is seen, and counted, where it is read */
        sent += (size_t)n;
    }
    c->out_length = 0;
}

static void ask(struct connection *c, uint64_t now)
{
    for (int slot = 0; slot < depth; slot++) {
        if (c->asked_at[slot] != 0)
            continue;
        if (now >= ends_at || (only_once && next_request == request_count))
            return;
        const char *request = requests[next_request++];
        if (next_request == request_count && !only_once)
            next_request = 0;
        uint32_t id = (++c->sequence << SLOT_BITS) | (uint32_t)slot;
        c->out_length += (size_t)sprintf(c->out + c->out_length, "AUTH\t%u\t%s\n", id, request);
        c->asked_at[slot] = now;
        under_way++;
    }
}

static void open_connection(struct connection *c, int epoll)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, socket_path, sizeof(address.sun_path) - 1);
    memset(c, 0, offsetof(struct connection, in));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(socket_path);
    /* Dovecot wants every connection to come from a process of its own. */
    c->out_length = (size_t)sprintf(c->out, "VERSION\t1\t1\nCPID\t%u\n", next_pid++);
    send_out(c);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

/* One line of a reply. */
static void take(struct connection *c, const char *line, uint64_t now)
{
    bool is_ok = strncmp(line, "OK\t", 3) == 0;
    bool is_fail = strncmp(line, "FAIL\t", 5) == 0;
    uint32_t slot = MAX_DEPTH;
    if (is_ok || is_fail)
        slot = (uint32_t)strtoul(line + (is_ok ? 3 : 5), NULL, 10) & (MAX_DEPTH - 1);
    if (slot >= (uint32_t)depth || c->asked_at[slot] == 0) {
        errors++;
        return;
    }
    answered++;
    if (now >= counted_from && now <= ends_at) {
        granted += is_ok;
        denied += is_fail;
        last_reply = now;
        if (sample_count < MAX_SAMPLES)
            samples[sample_count++] = (uint32_t)((now - c->asked_at[slot]) / 100);
    }
    c->asked_at[slot] = 0;
    under_way--;
}

/* Reads what there is; false when the connection is gone. */
static bool receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_length, sizeof(c->in) - 1 - c->in_length, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    c->in_length += (size_t)n;
    uint64_t now = now_ns();
    char *line = c->in, *end;
    while ((end = memchr(line, '\n', c->in_length - (size_t)(line - c->in))) != NULL) {
        *end = '\0';
        if (c->greeted)
            take(c, line, now);
        else if (strcmp(line, "DONE") == 0)
            c->greeted = true;
        line = end + 1;
    }
    c->in_length -= (size_t)(line - c->in);
    memmove(c->in, line, c->in_length);
    return c->in_length < sizeof(c->in) - 1;
}

static void give_up(struct connection *c)
{
    for (int slot = 0; slot < depth; slot++) {
        if (c->asked_at[slot] != 0) {
            c->asked_at[slot] = 0;
            under_way--;
            errors++;
        }
    }
    close(c->fd);
    if (++lost > MAX_LOST) {
        errno = ECONNRESET;
        fail("too many connections were closed");
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double sample_us(double part)
{
    if (sample_count == 0)
        return 0;
    return samples[(size_t)(part * (double)(sample_count - 1))] / 10.0;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: driver SOCKET CONNECTIONS DEPTH WARM-UP_S SECONDS again|once REQUESTS\n");
        return 2;
    }
    socket_path = argv[1];
    int count = atoi(argv[2]);
    depth = atoi(argv[3]);
    double warm_up_s = atof(argv[4]), seconds = atof(argv[5]);
    only_once = strcmp(argv[6], "once") == 0;
    if (count < 1 || count > MAX_CONNECTIONS || depth < 1 || depth > MAX_DEPTH || seconds <= 0)
        return 2;
    read_requests(argv[7]);
    samples = calloc(MAX_SAMPLES, sizeof(*samples));
    connections = calloc((size_t)count, sizeof(*connections));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (samples == NULL || connections == NULL || epoll < 0)
        fail("start");
    next_pid = ((uint32_t)getpid() << 10) & 0x3fffffff;
    ends_at = UINT64_MAX;
    for (int i = 0; i < count; i++)
        open_connection(&connections[i], epoll);
    struct epoll_event ready[MAX_CONNECTIONS];
    for (int i = 0; i < count; i++)
        while (!connections[i].greeted)
            if (!receive(&connections[i]))
                fail("no greeting");

    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t started = now_ns();
    counted_from = started + (uint64_t)(warm_up_s * 1e9);
    ends_at = counted_from + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) {
        ask(&connections[i], started);
        send_out(&connections[i]);
    }
    uint64_t patience = ends_at + 15000000000u;
    while (under_way > 0 && now_ns() < patience) {
        int n = epoll_wait(epoll, ready, MAX_CONNECTIONS, 1000);
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if (!receive(c)) {
                give_up(c);
                open_connection(c, epoll);
            }
            ask(c, now_ns());
            send_out(c);
        }
    }
    errors += under_way;
    getrusage(RUSAGE_SELF, &after);
    double cpu_s = 0;
    cpu_s += (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec);
    cpu_s += (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
    if (only_once && next_request == request_count && last_reply > counted_from)
        seconds = (double)(last_reply - counted_from) / 1e9;
    qsort(samples, sample_count, sizeof(*samples), compare);
    printf("{\"answered\": %llu, \"granted\": %llu, \"denied\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"driver_cpu_s\": %.6f, \"driver_wall_s\": %.6f}\n",
           (unsigned long long)answered, (unsigned long long)granted, (unsigned long long)denied, (unsigned long long)errors, seconds,
           sample_us(0.50), sample_us(0.99), cpu_s, (double)(now_ns() - started) / 1e9);
    return 0;
}
