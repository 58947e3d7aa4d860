/*
 * wire.c - the socket half of the protocol's client: connect, send once, read, give up in time
 *
 * Holds the I/O around wire_text.c.  Must not keep static state, send anything twice,
 * raise SIGPIPE, pass its descriptor on to a child, or outlive the deadline, whatever
 * signals arrive.  Privileges: those of the caller, to connect to the socket.
 */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Pause between two tries to connect, in ms: a restarting server is back within a few of them. */
#define CONNECT_PAUSE_MS 25

static long long now_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return -1;
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

long long wire_deadline(unsigned timeout_ms)
{
    long long now = now_ms();

    return now < 0 ? -1 : now + timeout_ms;
}

int wire_remaining_ms(long long deadline_ms)
{
    long long now = now_ms();

    if (now < 0 || now >= deadline_ms)
        return 0;
    return (int)(deadline_ms - now);
}

/* Sets the reply to Unavailable.  Returns false, for the caller to return. */
static bool unavailable(struct wire_reply *reply, const char *why, int error)
{
    memset(reply, 0, sizeof(*reply));
    reply->verdict = WIRE_UNAVAILABLE;
    reply->why = why;
    reply->sys_errno = error;
    return false;
}

/* Waits for events on fd until the deadline. */
static bool wait_for(int fd, short events, long long deadline, struct wire_reply *reply)
{
    struct pollfd waiting = {.fd = fd, .events = events};

    for (;;) {
        int left = wire_remaining_ms(deadline);
        int ready;

        if (left == 0)
            return unavailable(reply, "no answer in time", 0);
        ready = poll(&waiting, 1, left);
        if (ready > 0)
            return true; /* errors and hang-ups show at the call that follows */
        if (ready < 0 && errno != EINTR)
            return unavailable(reply, "poll", errno);
    }
}

/*
 * One try to connect.  The descriptor, or -1 with *error_r.
 *
 * A Unix stream socket never says EINPROGRESS.  Where the server's backlog is full, a
 * non-blocking connect() fails at once with EAGAIN and would have to be repeated blindly; a
 * blocking one is queued in order, and SO_SNDTIMEO bounds it.  So this is the one call that blocks.
 */
static int connect_once(const struct sockaddr_un *address, long long deadline, int *error_r)
{
    int left = wire_remaining_ms(deadline);
    struct timeval bound = {.tv_sec = left / 1000, .tv_usec = (left % 1000) * 1000};
    int fd;

    if (left == 0) { /* a zero SO_SNDTIMEO would mean "for ever" */
        *error_r = ETIMEDOUT;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error_r = errno;
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)) != 0 ||
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
        *error_r = errno;
        close(fd);
        return -1;
    }
    return fd;
}

/* Connects; waits for a server that is away as long as the request allows. */
static int connect_patiently(const struct wire_request *request, long long deadline,
                             struct wire_reply *reply)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(request->socket_path);
    long long patience = wire_deadline(request->connect_patience_ms);

    if (length == 0 || length >= sizeof(address.sun_path)) {
        unavailable(reply, "the socket's path is empty or too long", 0);
        return -1;
    }
    memcpy(address.sun_path, request->socket_path, length);
    if (patience < 0) {
        unavailable(reply, "the clock cannot be read", 0);
        return -1;
    }

    for (;;) {
        int error = 0;
        int fd = connect_once(&address, deadline, &error);
        bool again;

        if (fd >= 0)
            return fd;
        /* EINTR: nothing was connected. EAGAIN: the backlog was full for as long as we waited. */
        again = error == EINTR || error == EAGAIN ||
                ((error == ENOENT || error == ECONNREFUSED) && wire_remaining_ms(patience) > 0);
        if (!again || wire_remaining_ms(deadline) == 0) {
            unavailable(reply, "cannot connect to the socket", error);
            return -1;
        }
        if (error != EINTR) {
            int left = wire_remaining_ms(deadline);

            poll(NULL, 0, left < CONNECT_PAUSE_MS ? left : CONNECT_PAUSE_MS);
        }
    }
}

static bool send_all(int fd, const char *data, size_t length, long long deadline,
                     struct wire_reply *reply)
{
    size_t sent = 0;

    while (sent < length) {
        ssize_t n = send(fd, data + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!wait_for(fd, POLLOUT, deadline, reply))
                return false;
        } else if (n == 0 || errno != EINTR) {
            return unavailable(reply, "cannot send the request", n < 0 ? errno : 0);
        } else if (wire_remaining_ms(deadline) == 0) {
            return unavailable(reply, "no answer in time", 0);
        }
    }
    return true;
}

/* Feeds complete lines to the parser.  True when the conversation is over; *used shrinks to the
 * incomplete line that remains. */
static bool take_lines(struct wire_conversation *seen, char *buffer, size_t *used, size_t *searched,
                       struct wire_reply *reply)
{
    size_t start = 0;
    char *lf;

    while ((lf = memchr(buffer + *searched, '\n', *used - *searched)) != NULL) {
        size_t end = (size_t)(lf - buffer);

        if (wire_take_line(seen, buffer + start, end - start, reply))
            return true;
        start = end + 1;
        *searched = start;
    }
    memmove(buffer, buffer + start, *used - start);
    *used -= start;
    *searched = *used;
    return false;
}

static void read_reply(int fd, char *buffer, size_t size, long long deadline,
                       struct wire_reply *reply)
{
    struct wire_conversation seen = {0};
    size_t used = 0, searched = 0;

    for (;;) {
        ssize_t n;

        if (used == size) {
            unavailable(reply, "the server's line is too long", 0);
            return;
        }
        if (!wait_for(fd, POLLIN, deadline, reply))
            return;
        n = recv(fd, buffer + used, size - used, MSG_DONTWAIT);
        if (n > 0) {
            used += (size_t)n;
            if (take_lines(&seen, buffer, &used, &searched, reply))
                return;
        } else if (n == 0) {
            unavailable(reply, "the server closed the connection", 0);
            return;
        } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            unavailable(reply, "cannot read the answer", errno);
            return;
        }
    }
}

void wire_authenticate(const struct wire_request *request, struct wire_reply *reply_r)
{
    char out[WIRE_MAX_REQUEST];
    char in[WIRE_MAX_LINE];
    size_t length = 0;
    const char *why = NULL;
    long long deadline = wire_deadline(request->timeout_ms);
    int fd = -1;

    unavailable(reply_r, "not asked", 0);
    if (!wire_render_request(request, (long)getpid(), out, sizeof(out), &length, &why)) {
        unavailable(reply_r, why, 0);
        goto end;
    }
    fd = connect_patiently(request, deadline, reply_r);
    if (fd < 0)
        goto end;
    if (!send_all(fd, out, length, deadline, reply_r))
        goto end;
    explicit_bzero(out,
                   sizeof(out)); /* the longest part is the wait; nothing secret lasts for it */
    read_reply(fd, in, sizeof(in), deadline, reply_r);

end:
    if (fd >= 0)
        close(fd);
    explicit_bzero(out, sizeof(out));
    explicit_bzero(in, sizeof(in));
}
