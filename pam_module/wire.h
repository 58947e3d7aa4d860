/*
 * wire.h - one authentication over the Dovecot authentication protocol, version 1
 *
 * Holds the request, the reply and the functions that our two C clients share
 * (mailauth-checkpassword and pam_mailauth.so).  wire_text.c has the pure half:
 * rendering the request into the caller's buffer and parsing reply lines; it can be
 * tested and fuzzed without a socket.  wire.c has the socket.
 *
 * Must not: keep static state, allocate memory, read the environment, log, write a
 * secret anywhere but to the socket, raise SIGPIPE, leak a descriptor to a child, or
 * wait longer than the request's time-out.  Anything that is not a clear answer is
 * WIRE_UNAVAILABLE, which is why that verdict is the zero value.
 *
 * Privileges: none of its own; the caller must be allowed to connect to the socket.
 *
 * What is said, and in which order (the client writes at once and then reads):
 *
 *     C: VERSION 1 1 / CPID pid / AUTH 1 PLAIN service=... mailauth=1 resp=BASE64
 *     S: VERSION 1 n / MECH PLAIN ... / SPID / CUID / COOKIE / DONE
 *     S: OK 1 user=NAME [tail=N] [release=HEX] [userdb_KEY=VALUE ...]
 *                                               or  FAIL 1 [reason=TEXT] [code=temp_fail]
 *
 * A look-up, whether an account exists, says mailauth=lookup and an empty password instead:
 *
 *     S: OK 1 user=NAME                         or  FAIL 1 code=unknown | code=temp_fail
 *
 * Fields are separated by TAB; \0 \001 \t \r \n in values are escaped as \001 followed
 * by 0 1 t r n.
 */
#ifndef MAILAUTH_WIRE_H
#define MAILAUTH_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* All that is sent, in bytes.  The server's cap for one line is the same number. */
#define WIRE_MAX_REQUEST 16384
/* Longest line that is accepted from the server, in bytes, with its LF.  Its own promise is 8192.
 */
#define WIRE_MAX_LINE 16384
/* Longest account name in a reply, in bytes: 64 + @ + 255 (RFC 5321 s4.5.3.1), with room. */
#define WIRE_MAX_USER 511
/* Longest refusal text that is kept, in bytes; longer ones are cut at a character. */
#define WIRE_MAX_REASON 1000
/* What Dovecot is told of a user besides, as it stands in the reply: all fields together. */
#define WIRE_MAX_FIELDS 4095
/* More lines than this before DONE are no greeting.  Real ones have about eight. */
#define WIRE_MAX_GREETING_LINES 64
/* Longest value of a field that only describes the client, in bytes; longer ones are left out. */
#define WIRE_MAX_DETAIL 512
/* The token by which a refused password is reported: this many lower-case hexadecimal digits. */
#define WIRE_RELEASE_DIGITS 32

#define WIRE_DEFAULT_SOCKET     "/run/mailauth/auth.sock"
#define WIRE_DEFAULT_TIMEOUT_MS 10000

enum wire_verdict {
    WIRE_UNAVAILABLE = 0, /* no clear answer: try again later */
    WIRE_DENIED,
    WIRE_GRANTED,
};

/* Bytes with a length, so that a NUL inside is seen and refused. */
struct wire_bytes {
    const char *data;
    size_t length;
};

struct wire_request {
    const char *socket_path;
    unsigned timeout_ms; /* for everything together: connecting, sending, waiting */
    /* How long to go on trying while connect() finds no server (ENOENT, ECONNREFUSED); 0: once.
     * Nothing is ever sent twice: a second try could spend a code that was already accepted. */
    unsigned connect_patience_ms;

    struct wire_bytes user;
    struct wire_bytes secret;

    /* What is known of the client; NULL or "" if unknown. */
    const char *service;
    const char *lip, *rip;
    const char *lport, *rport;
    const char *secured; /* "tls", or "secured" (a trusted or local connection) */
    const char *session;
    const char *local_name;
    const char *orig_user;

    bool look_up;            /* no login: whether the account exists; without a secret */
    bool second_factor_only; /* check and spend only the code at the end of the secret */
    /* Not NULL: no login, but the token of an earlier grant, whose password others found wrong.
     * The answer is a denial, whatever comes of it. */
    const char *release;
};

struct wire_reply {
    enum wire_verdict verdict;
    const char *why;              /* Unavailable: what went wrong, a constant text; else NULL */
    int sys_errno;                /* Unavailable: the errno behind it, or 0 */
    char user[WIRE_MAX_USER + 1]; /* Granted: the account's canonical name; else "" */
    /* Denied: in so many words, there is no such account. Mail bounces on that, so nothing else is.
     */
    bool unknown;
    /* Denied: the text for the user, one printable line, or "" */
    char reason[WIRE_MAX_REASON + 1];
    bool has_tail;
    size_t tail_bytes; /* Granted, second factor only: length of the code within the secret */
    /* Granted, second factor only: by this token a wrong password is reported, and gives the code
     * back that was spent with it; "" if there is none */
    char release[WIRE_RELEASE_DIGITS + 1];
    /* Granted: the fields for Dovecot, each KEY=VALUE TAB, still escaped; "" if there are none. For
     * a reply to Dovecot and nothing else: passwords of proxies may be among them. */
    char fields[WIRE_MAX_FIELDS + 1];
};

/* What a client has seen of the server's lines so far.  Starts as {0}. */
struct wire_conversation {
    bool version_seen;
    bool plain_offered;
    bool greeted;
    unsigned greeting_lines;
};

/*
 * wire_text.c: pure
 */

/* Renders everything the client says into buffer.  False (and *why_r) if user or secret hold a NUL,
 * or if it does not fit.  The buffer then holds a part of the secret: wipe it in any case. */
bool wire_render_request(const struct wire_request *request, long pid, char *buffer, size_t size,
                         size_t *length_r, const char **why_r);

/* Takes one line of the server, without its LF.  True when the conversation is over: *reply_r then
 * holds the verdict.  False: read on. */
bool wire_take_line(struct wire_conversation *seen, const char *line, size_t length,
                    struct wire_reply *reply_r);

/* Escapes a value.  False if it does not fit; the output is not terminated. */
bool wire_escape(const char *in, size_t length, char *out, size_t size, size_t *length_r);

/* The reverse.  False if it does not fit or holds an unknown escape. */
bool wire_unescape(const char *in, size_t length, char *out, size_t size, size_t *length_r);

/* Reads "10" or "0.5" as a time-out of 1 ms to one hour. */
bool wire_parse_seconds(const char *text, unsigned *ms_r);

/*
 * wire.c: the socket
 */

/* Asks the server once.  Always fills in *reply_r. */
void wire_authenticate(const struct wire_request *request, struct wire_reply *reply_r);

/* Milliseconds left until deadline_ms on the monotonic clock, never negative; 0 also when the clock
 * cannot be read.  wire_deadline() gives -1 then. */
long long wire_deadline(unsigned timeout_ms);
int wire_remaining_ms(long long deadline_ms);

#endif
