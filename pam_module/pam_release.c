/*
 * pam_release.c - reports it when the modules behind ours have refused the login
 *
 * second_factor_only spends the code before they judge the password, so that a wrong password would
 * burn it; and where no code is asked for, nobody but they would know of a guess.  The server's
 * grant carries a token.  This file keeps it in the handle; when pam_end() says that the login
 * failed, it returns the token on a new connection, and the server unspends the code, if there was
 * one, and counts a wrong password.
 *
 * Must not: keep static state, change a verdict, hold the application up for more than a second, or
 * give back where it is not certain that the login failed.  Whatever goes wrong leaves the code
 * spent and the password uncounted: a crash, a lost message, an application that tells pam_end()
 * nothing.
 * Privileges: those of the application; needs only to connect to the socket.
 */
#include "pam_mailauth.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <security/pam_ext.h>

/* Under this name the handle keeps it. */
#define RELEASE_DATA "mailauth_release"

/* For connecting, sending and waiting together: the user waits for the refusal meanwhile. */
#define RELEASE_TIMEOUT_MS 1000

/* All that giving back needs.  Copies: at pam_end() options and items may be gone. */
struct release {
    unsigned timeout_ms;
    size_t name_length;
    char name[WIRE_MAX_USER];
    char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    char service[WIRE_MAX_DETAIL + 1]; /* "" if it was too long to be sent */
    char rip[INET6_ADDRSTRLEN];        /* "" if unknown */
    char token[WIRE_RELEASE_DIGITS + 1];
};

void mailauth_log_unavailable(const pam_handle_t *pamh, const char *socket_path, const char *what,
                              const struct wire_reply *reply)
{
    pam_syslog(pamh, LOG_ERR, "%s: %s%s%s%s", socket_path, what, reply->why,
               reply->sys_errno != 0 ? ": " : "",
               reply->sys_errno != 0 ? strerrordesc_np(reply->sys_errno) : "");
}

/* Copies a text whole, or leaves "" and returns false. */
static bool copy_text(char *to, size_t size, const char *from)
{
    size_t length = from != NULL ? strlen(from) : 0;

    to[0] = '\0';
    if (length >= size)
        return false;
    if (length > 0)
        memcpy(to, from, length + 1);
    return true;
}

static void wipe(struct release *release)
{
    explicit_bzero(release, sizeof(*release));
    free(release);
}

/*
 * PAM's cleanup of RELEASE_DATA.
 *
 * Gives back only at a pam_end() of a login that failed.  PAM_DATA_REPLACE is no end, but a further
 * attempt on the same handle.  PAM_DATA_SILENT is a child's copy of the handle; the original lives.
 */
static void give_back(pam_handle_t *pamh, void *data, int error_status)
{
    struct release *release = data;

    if ((error_status & (PAM_DATA_REPLACE | PAM_DATA_SILENT)) == 0 && error_status != PAM_SUCCESS) {
        struct wire_request request = {
            .socket_path = release->socket_path,
            .timeout_ms = release->timeout_ms,
            .user = {release->name, release->name_length},
            .secret = {"-", 1},
            .service = release->service,
            .rip = release->rip,
            .release = release->token,
        };
        struct wire_reply reply;

        wire_authenticate(&request, &reply);
        if (reply.verdict == WIRE_UNAVAILABLE)
            mailauth_log_unavailable(pamh, release->socket_path,
                                     "a refused password was not reported: ", &reply);
    }
    wipe(release);
}

int mailauth_keep_release(pam_handle_t *pamh, const struct wire_request *request,
                          const struct wire_reply *reply)
{
    struct release *release = calloc(1, sizeof(*release));

    if (release == NULL)
        return PAM_AUTHINFO_UNAVAIL;
    release->timeout_ms =
        request->timeout_ms < RELEASE_TIMEOUT_MS ? request->timeout_ms : RELEASE_TIMEOUT_MS;
    (void)copy_text(release->service, sizeof(release->service), request->service);
    if (request->user.length <= sizeof(release->name) &&
        copy_text(release->socket_path, sizeof(release->socket_path), request->socket_path) &&
        copy_text(release->rip, sizeof(release->rip), request->rip) &&
        copy_text(release->token, sizeof(release->token), reply->release)) {
        memcpy(release->name, request->user.data, request->user.length);
        release->name_length = request->user.length;
        if (pam_set_data(pamh, RELEASE_DATA, release, give_back) == PAM_SUCCESS)
            return PAM_SUCCESS;
    }
    wipe(release);
    return PAM_AUTHINFO_UNAVAIL;
}

int mailauth_drop_release(pam_handle_t *pamh)
{
    return pam_set_data(pamh, RELEASE_DATA, NULL, NULL) == PAM_SUCCESS ? PAM_SUCCESS
                                                                       : PAM_AUTHINFO_UNAVAIL;
}
