/*
 * checkpassword.c - mailauth-checkpassword, the passdb helper for Dovecot 2.3
 *
 *     passdb {
 *       driver = checkpassword
 *       args = /usr/lib/mailauth/mailauth-checkpassword --socket /run/mailauth/auth.sock
 *     }
 *     passdb {                       # the refusal texts need this one, and need it last
 *       driver = passwd-file
 *       args = /etc/dovecot/mailauth-deny     (an empty file)
 *     }
 *
 * Dovecot forks and executes this program for every login.  It reads the name and the
 * password from descriptor 3, asks `mailauth serve` through its socket (wire.c), and maps
 * the answer:
 *
 *     Granted             user=NAME, and the fields of a source          exit 0
 *                         (userdb_*, proxy ...) on descriptor 4
 *     Denied with a text  noauthenticate=y, reason=TEXT on descriptor 4  exit 0
 *     Denied              nothing                                        exit 1
 *     Unavailable         nothing; one line on standard error            exit 111
 *
 * The second row is how Dovecot is made to show a text: the passdb "succeeds" without
 * authenticating, and the next passdb, which knows nobody, refuses.  WITHOUT that last passdb
 * Dovecot answers with a temporary failure; with any other one behind it, that one decides.
 *
 * AUTHORIZED=1 in the environment means that Dovecot looks an account up without a password, as for
 * LMTP before a message is taken.  Then descriptor 3 holds NAME NUL NUL NUL, and the answer is:
 *
 *     It exists           user=NAME and fields on descriptor 4           exit 2
 *     It does not         nothing; the message bounces                   exit 3
 *     Nobody knows        nothing; the message waits                     exit 111
 *
 * The two never share an exit status but 111, a temporary failure in both, so that no confusion of
 * a look-up with a check lets anybody in; a look-up for which there is a password is refused.
 *
 * Must not: take a decision, write a secret anywhere but to the socket, dump core, run another
 * program (the reply program in argv is not needed), or outlive its time-out.
 * Privileges: runs as Dovecot's internal user; needs only to connect to the socket.
 * The manual page is mailauth-checkpassword.8.
 */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FD_INPUT  3
#define FD_OUTPUT 4

/* Dovecot's CHECKPASSWORD_MAX_REQUEST_LEN: name, password and time stamp with their three NULs. */
#define MAX_INPUT 512

enum status {
    STATUS_OK = 0,
    STATUS_WRONG = 1,
    STATUS_EXISTS = 2,  /* of a look-up only */
    STATUS_UNKNOWN = 3, /* likewise */
    STATUS_TEMPORARY = 111,
};

struct options {
    const char *socket_path;
    unsigned timeout_ms;
};

static const char HELP[] =
    "usage: mailauth-checkpassword [--socket PATH] [--timeout SECONDS] [REPLY-PROGRAM]\n"
    "\n"
    "Checks one login for Dovecot's checkpassword passdb: reads NAME NUL PASSWORD NUL NUL\n"
    "from descriptor 3, asks mailauth, answers on descriptor 4.\n"
    "\n"
    "  --socket PATH      where mailauth listens (default " WIRE_DEFAULT_SOCKET ")\n"
    "  --timeout SECONDS  for everything together (default 10)\n"
    "  --help, --version\n"
    "\n"
    "With AUTHORIZED=1 in the environment: whether the account exists, without a password.\n"
    "\n"
    "Exit status: 0 answered on descriptor 4, 1 wrong password, 111 temporary failure;\n"
    "of a look-up 2 exists, 3 unknown.\n"
    "See mailauth-checkpassword(8).\n";

static const char VERSION_TEXT[] = "mailauth-checkpassword " MAILAUTH_VERSION "\n";

/* Writes all of it; false on any error. */
static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);

        if (n > 0) {
            data += n;
            length -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* One line for the administrator; Dovecot puts standard error into its log. */
static void complain(const char *what, const char *detail)
{
    char line[512];
    const char *parts[] = {"mailauth-checkpassword: ", what, detail != NULL ? ": " : "",
                           detail != NULL ? detail : ""};
    size_t used = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t length = strlen(parts[i]);

        if (length > sizeof(line) - 1 - used)
            length = sizeof(line) - 1 - used;
        memcpy(line + used, parts[i], length);
        used += length;
    }
    line[used++] = '\n';
    (void)write_all(STDERR_FILENO, line, used);
}

/* "--NAME VALUE" or "--NAME=VALUE"; *at moves over what was used. */
static const char *option_value(char **argv, int *at, const char *name)
{
    size_t length = strlen(name);
    const char *argument = argv[*at];

    if (strncmp(argument, name, length) != 0)
        return NULL;
    if (argument[length] == '=')
        return argument + length + 1;
    if (argument[length] != '\0' || argv[*at + 1] == NULL)
        return NULL;
    ++*at;
    return argv[*at];
}

static bool parse_options(char **argv, struct options *options_r)
{
    int at;

    options_r->socket_path = WIRE_DEFAULT_SOCKET;
    options_r->timeout_ms = WIRE_DEFAULT_TIMEOUT_MS;
    for (at = 1; argv[at] != NULL && argv[at][0] == '-'; at++) {
        const char *argument = argv[at];
        const char *value;

        if (strcmp(argument, "--") == 0)
            break;
        if ((value = option_value(argv, &at, "--socket")) != NULL) {
            options_r->socket_path = value;
        } else if ((value = option_value(argv, &at, "--timeout")) != NULL) {
            if (!wire_parse_seconds(value, &options_r->timeout_ms)) {
                complain("--timeout wants seconds, at most 3600, not", value);
                return false;
            }
        } else {
            complain("unknown or incomplete option", argument);
            return false;
        }
    }
    return true;
}

/* No core file and no ptrace by others while the password is in memory. */
static bool forbid_cores(void)
{
    const struct rlimit none = {0, 0};

    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* Reads descriptor 3 to its end, however much there is: Dovecot takes a broken pipe for a failed
 * login.  What is beyond size is thrown away but counted.  False on error or when time is up. */
static bool drain_input(char *buffer, size_t size, long long deadline, size_t *length_r)
{
    char surplus[512];
    size_t total = 0;
    bool ok = false;

    for (;;) {
        struct pollfd waiting = {.fd = FD_INPUT, .events = POLLIN};
        bool fits = total < size;
        int left = wire_remaining_ms(deadline);
        int ready;
        ssize_t n;

        if (left == 0)
            break;
        ready = poll(&waiting, 1, left);
        if (ready < 0 && errno != EINTR)
            break;
        if (ready <= 0)
            continue;
        n = fits ? read(FD_INPUT, buffer + total, size - total)
                 : read(FD_INPUT, surplus, sizeof(surplus));
        if (n == 0) {
            ok = true;
            break;
        }
        if (n > 0)
            total += (size_t)n;
        else if (errno != EINTR && errno != EAGAIN)
            break;
    }
    explicit_bzero(surplus, sizeof(surplus));
    *length_r = total;
    return ok;
}

/* NAME NUL PASSWORD NUL NUL and nothing else.  The time stamp is for APOP; Dovecot sends none. */
static bool split_input(const char *input, size_t length, struct wire_request *request_r)
{
    const char *name_end = memchr(input, '\0', length);
    const char *password, *password_end;

    if (name_end == NULL || name_end == input)
        return false;
    password = name_end + 1;
    password_end = memchr(password, '\0', length - (size_t)(password - input));
    if (password_end == NULL || password_end + 2 != input + length || password_end[1] != '\0')
        return false;
    request_r->user.data = input;
    request_r->user.length = (size_t)(name_end - input);
    request_r->secret.data = password;
    request_r->secret.length = (size_t)(password_end - password);
    return true;
}

/* Dovecot's own variable, or that of UCSPI; NULL if neither says anything. */
static const char *either(const char *dovecot, const char *ucspi)
{
    const char *value = getenv(dovecot);

    if (value == NULL || value[0] == '\0')
        value = ucspi != NULL ? getenv(ucspi) : NULL;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Ports are 0 where there is none (Postfix through Dovecot). */
static const char *port(const char *dovecot, const char *ucspi)
{
    const char *value = either(dovecot, ucspi);

    return value != NULL && strcmp(value, "0") != 0 ? value : NULL;
}

/* What Dovecot tells of the client.  AUTH_* are its %{variables}, in upper case. */
static void describe_client(struct wire_request *request)
{
    const char *secured = either("AUTH_SECURED", NULL);

    request->service = either("AUTH_SERVICE", "SERVICE");
    request->lip = either("AUTH_LIP", "TCPLOCALIP");
    request->rip = either("AUTH_RIP", "TCPREMOTEIP");
    request->lport = port("AUTH_LPORT", "TCPLOCALPORT");
    request->rport = port("AUTH_RPORT", "TCPREMOTEPORT");
    if (secured != NULL)
        request->secured = strcmp(secured, "TLS") == 0 ? "tls" : "secured";
    request->session = either("AUTH_SESSION", NULL);
    request->local_name = either("AUTH_LOCAL_NAME", NULL);
    request->orig_user = either("AUTH_ORIG_USER", NULL);
}

/* Writes KEY=VALUE TAB as Dovecot reads it back (t_strsplit_tabescaped). */
static bool append_field(char *out, size_t size, size_t *used, const char *key, const char *value)
{
    size_t key_length = strlen(key);
    size_t length = 0;

    if (key_length + 2 > size - *used)
        return false;
    memcpy(out + *used, key, key_length);
    *used += key_length;
    out[(*used)++] = '=';
    if (!wire_escape(value, strlen(value), out + *used, size - *used, &length))
        return false;
    *used += length;
    if (*used == size)
        return false;
    out[(*used)++] = '\t';
    return true;
}

/* Writes what is escaped already. */
static bool append_kept(char *out, size_t size, size_t *used, const char *fields)
{
    size_t length = strlen(fields);

    if (length > size - *used)
        return false;
    memcpy(out + *used, fields, length);
    *used += length;
    return true;
}

/* The answer for Dovecot: the fields on descriptor 4, and the exit status. */
static enum status answer(const struct wire_reply *reply)
{
    char out[8192]; /* the longest name and all fields, and less than a pipe's capacity */
    size_t used = 0;
    bool ok = false;

    switch (reply->verdict) {
    case WIRE_GRANTED:
        ok = append_field(out, sizeof(out), &used, "user", reply->user) &&
             append_kept(out, sizeof(out), &used, reply->fields);
        break;
    case WIRE_DENIED:
        if (reply->reason[0] == '\0')
            return STATUS_WRONG;
        ok = append_field(out, sizeof(out), &used, "noauthenticate", "y") &&
             append_field(out, sizeof(out), &used, "reason", reply->reason);
        break;
    case WIRE_UNAVAILABLE:
        complain(reply->why, reply->sys_errno != 0 ? strerrordesc_np(reply->sys_errno) : NULL);
        return STATUS_TEMPORARY;
    }
    return ok && write_all(FD_OUTPUT, out, used) ? STATUS_OK : STATUS_TEMPORARY;
}

/* The same for a look-up. Only a plain "unknown" is one: whatever else was answered, mail waits. */
static enum status answer_look_up(const struct wire_reply *reply)
{
    char out[8192];
    size_t used = 0;

    switch (reply->verdict) {
    case WIRE_GRANTED:
        return append_field(out, sizeof(out), &used, "user", reply->user) &&
                       append_kept(out, sizeof(out), &used, reply->fields) &&
                       write_all(FD_OUTPUT, out, used)
                   ? STATUS_EXISTS
                   : STATUS_TEMPORARY;
    case WIRE_DENIED:
        if (reply->unknown)
            return STATUS_UNKNOWN;
        complain("mailauth does not answer look-ups", NULL);
        return STATUS_TEMPORARY;
    case WIRE_UNAVAILABLE:
        complain(reply->why, reply->sys_errno != 0 ? strerrordesc_np(reply->sys_errno) : NULL);
        return STATUS_TEMPORARY;
    }
    return STATUS_TEMPORARY;
}

static enum status check(const struct options *options)
{
    char input[MAX_INPUT];
    size_t length = 0;
    long long deadline = wire_deadline(options->timeout_ms);
    const char *authorized = getenv("AUTHORIZED");
    struct wire_request request = {
        .socket_path = options->socket_path,
        .look_up = authorized != NULL,
    };
    struct wire_reply reply;
    enum status status = STATUS_TEMPORARY;

    if (!drain_input(input, sizeof(input), deadline, &length)) {
        complain("cannot read the login from descriptor 3", NULL);
    } else if (getenv("MASTER_USER") != NULL) {
        /* The password is the master's, and would count as a wrong one of the user's. */
        complain("logging in as somebody else needs the Lua passdb", NULL);
    } else if (authorized != NULL && strcmp(authorized, "1") != 0) {
        complain("AUTHORIZED is neither unset nor 1", NULL);
    } else if (length > sizeof(input) || !split_input(input, length, &request)) {
        complain("descriptor 3 does not hold NAME NUL PASSWORD NUL NUL", NULL);
    } else if (request.look_up && request.secret.length > 0) {
        complain("a look-up with a password", NULL);
    } else {
        describe_client(&request);
        request.timeout_ms = (unsigned)wire_remaining_ms(deadline);
        wire_authenticate(&request, &reply);
        status = request.look_up ? answer_look_up(&reply) : answer(&reply);
    }
    explicit_bzero(input, sizeof(input));
    return status;
}

int main(int argc, char **argv)
{
    struct options options;

    if (argc < 1)
        return STATUS_TEMPORARY;
    if (argv[1] != NULL && strcmp(argv[1], "--help") == 0)
        return write_all(STDOUT_FILENO, HELP, sizeof(HELP) - 1) ? 0 : STATUS_TEMPORARY;
    if (argv[1] != NULL && strcmp(argv[1], "--version") == 0)
        return write_all(STDOUT_FILENO, VERSION_TEXT, sizeof(VERSION_TEXT) - 1) ? 0
                                                                                : STATUS_TEMPORARY;
    if (!forbid_cores()) {
        complain("cannot forbid core files", NULL);
        return STATUS_TEMPORARY;
    }
    /* A reader that is gone is an error like any other: 111, not a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    /* Dovecot's auth process leaves its own sockets open in us. */
    (void)close_range(FD_OUTPUT + 1, ~0U, 0);
    if (!parse_options(argv, &options))
        return STATUS_TEMPORARY;
    return check(&options);
}
