/*
 * pam_mailauth.c - pam_mailauth.so: authenticate with mailauth from any PAM application
 *
 *     auth     required  pam_mailauth.so
 *     account  required  pam_mailauth.so
 *
 * or, in front of modules that check the password alone:
 *
 *     auth     required  pam_mailauth.so second_factor_only forward_pass
 *     auth     required  pam_unix.so use_first_pass
 *
 * Reads the prompt (or the token of a module before), asks `mailauth serve` through its socket
 * (wire.c), maps the verdict.  PAM has no room for the text of a refusal.
 *
 * second_factor_only spends the code before the modules behind have judged the password.  Should
 * they refuse it, pam_release.c says so at pam_end(): the code is given back, and the password
 * counts.
 *
 * Must not: keep static state, read the environment, use PAM_RUSER (the client's own claim), log
 * or store a secret anywhere but in PAM_AUTHTOK, return PAM_IGNORE, or return PAM_SUCCESS for
 * anything but a grant that was received whole.  Every error is PAM_AUTH_ERR or
 * PAM_AUTHINFO_UNAVAIL: as a `required` module both refuse the login.
 * Privileges: those of the application; needs only to connect to the socket.
 * The manual page is pam_mailauth.8.
 */
#include "pam_mailauth.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define PAM_SM_AUTH
#define PAM_SM_ACCOUNT
#include <security/pam_ext.h>
#include <security/pam_modules.h>

/* How long a daemon that is away is waited for, within the time-out: a restart takes about a
 * second, and PAM's applications take "unavailable" for a wrong password. */
#define CONNECT_PATIENCE_MS 3000

/* Under this name the handle remembers which user this module has let in. */
#define GRANTED_DATA "mailauth_granted"

struct options {
    const char *socket_path;
    const char *service;
    const char *realm;
    const char *prompt;
    unsigned timeout_ms;
    bool try_first_pass;
    bool use_first_pass;
    bool second_factor_only;
    bool forward_pass;
    bool set_user;
    bool debug;
};

/* The secret, and whether it is ours to wipe and free (an answer to a prompt) or PAM's. */
struct secret {
    const char *text;
    char *owned;
};

/* What each verdict is for PAM. */
static int pam_result(enum wire_verdict verdict)
{
    static const int results[] = {
        [WIRE_UNAVAILABLE] = PAM_AUTHINFO_UNAVAIL,
        [WIRE_DENIED] = PAM_AUTH_ERR,
        [WIRE_GRANTED] = PAM_SUCCESS,
    };

    if ((size_t)verdict >= sizeof(results) / sizeof(results[0]))
        return PAM_AUTHINFO_UNAVAIL;
    return results[verdict];
}

/* If the argument is NAME=..., the part after the equals sign. */
static const char *value_of(const char *argument, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(argument, name, length) != 0 || argument[length] != '=')
        return NULL;
    return argument + length + 1;
}

/* True if the argument is the flag. */
static bool take_flag(const char *argument, const char *name, bool *flag)
{
    if (strcmp(argument, name) != 0)
        return false;
    *flag = true;
    return true;
}

static bool take_option(const char *argument, struct options *options)
{
    const char *value;

    if ((value = value_of(argument, "socket")) != NULL) {
        options->socket_path = value;
        return value[0] == '/'; /* the application's working directory is anybody's choice */
    }
    if ((value = value_of(argument, "timeout")) != NULL)
        return wire_parse_seconds(value, &options->timeout_ms);
    if ((value = value_of(argument, "service")) != NULL) {
        options->service = value;
        return value[0] != '\0';
    }
    if ((value = value_of(argument, "realm")) != NULL) {
        options->realm = value;
        return value[0] != '\0' && value[0] != '@';
    }
    if ((value = value_of(argument, "prompt")) != NULL) {
        options->prompt = value;
        return true;
    }
    return take_flag(argument, "try_first_pass", &options->try_first_pass) ||
           take_flag(argument, "use_first_pass", &options->use_first_pass) ||
           take_flag(argument, "second_factor_only", &options->second_factor_only) ||
           take_flag(argument, "forward_pass", &options->forward_pass) ||
           take_flag(argument, "set_user", &options->set_user) ||
           take_flag(argument, "debug", &options->debug);
}

/* A mistyped option could be the one that makes the stack safe, so it refuses every login. */
static bool parse_options(pam_handle_t *pamh, int argc, const char **argv,
                          struct options *options_r)
{
    *options_r = (struct options){
        .socket_path = WIRE_DEFAULT_SOCKET,
        .timeout_ms = WIRE_DEFAULT_TIMEOUT_MS,
    };
    for (int i = 0; i < argc; i++) {
        if (!take_option(argv[i], options_r)) {
            pam_syslog(pamh, LOG_ERR, "unknown or unusable option: %s", argv[i]);
            return false;
        }
    }
    if (options_r->forward_pass && !options_r->second_factor_only) {
        pam_syslog(pamh, LOG_ERR, "forward_pass is for second_factor_only");
        return false;
    }
    if (options_r->set_user && options_r->second_factor_only) {
        pam_syslog(pamh, LOG_ERR, "set_user is not for second_factor_only");
        return false;
    }
    if (options_r->prompt == NULL)
        options_r->prompt = options_r->second_factor_only && !options_r->forward_pass
                                ? "Verification code: "
                                : "Password and verification code: ";
    return true;
}

/* The name to ask for: PAM's user, with the realm if it has none of its own. */
static int get_name(pam_handle_t *pamh, const struct options *options, char *name, size_t size,
                    size_t *length_r)
{
    const char *user = NULL;
    const char *parts[3] = {NULL, "", ""};
    size_t used = 0;

    if (pam_get_user(pamh, &user, NULL) != PAM_SUCCESS)
        return PAM_AUTHINFO_UNAVAIL;
    if (user == NULL || user[0] == '\0')
        return PAM_AUTH_ERR;
    parts[0] = user;
    if (options->realm != NULL && strchr(user, '@') == NULL) {
        parts[1] = "@";
        parts[2] = options->realm;
    }
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(parts[i]);

        if (length > size - used)
            return PAM_AUTH_ERR;
        memcpy(name + used, parts[i], length);
        used += length;
    }
    *length_r = used;
    return PAM_SUCCESS;
}

/* The secret: from the module before, if the options say so, or from a prompt. */
static int get_secret(pam_handle_t *pamh, const struct options *options, struct secret *secret_r)
{
    if (options->use_first_pass || options->try_first_pass) {
        const void *token = NULL;

        if (pam_get_item(pamh, PAM_AUTHTOK, &token) != PAM_SUCCESS)
            return PAM_AUTHINFO_UNAVAIL;
        secret_r->text = token;
    }
    if (secret_r->text == NULL && !options->use_first_pass) {
        if (pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &secret_r->owned, "%s", options->prompt) !=
            PAM_SUCCESS)
            return PAM_AUTHINFO_UNAVAIL;
        secret_r->text = secret_r->owned;
    }
    if (secret_r->text == NULL || secret_r->text[0] == '\0')
        return PAM_AUTH_ERR;
    return PAM_SUCCESS;
}

/* PAM_RHOST may be a name, which is the client's choice where it has reverse DNS: only a literal
 * address is handed on. */
static const char *client_address(pam_handle_t *pamh)
{
    unsigned char parsed[sizeof(struct in6_addr)];
    const void *host = NULL;

    if (pam_get_item(pamh, PAM_RHOST, &host) != PAM_SUCCESS || host == NULL)
        return NULL;
    if (inet_pton(AF_INET, host, parsed) == 1 || inet_pton(AF_INET6, host, parsed) == 1)
        return host;
    return NULL;
}

static int describe(pam_handle_t *pamh, const struct options *options, const char *name,
                    size_t length, const char *secret, struct wire_request *request_r)
{
    *request_r = (struct wire_request){
        .socket_path = options->socket_path,
        .timeout_ms = options->timeout_ms,
        .connect_patience_ms = CONNECT_PATIENCE_MS,
        .user = {name, length},
        .secret = {secret, strlen(secret)},
        .service = options->service,
        .rip = client_address(pamh),
        .second_factor_only = options->second_factor_only,
    };

    if (request_r->service == NULL) {
        const void *service = NULL;

        /* Without it the account's rules by service could not be kept. */
        if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || service == NULL)
            return PAM_AUTHINFO_UNAVAIL;
        request_r->service = service;
    }
    return PAM_SUCCESS;
}

static int ask(pam_handle_t *pamh, const struct options *options,
               const struct wire_request *request, struct wire_reply *reply_r)
{
    wire_authenticate(request, reply_r);
    if (options->debug)
        pam_syslog(pamh, LOG_DEBUG, "user %.*s, service %s, client %s: %s",
                   (int)request->user.length, request->user.data, request->service,
                   request->rip != NULL ? request->rip : "unknown",
                   reply_r->verdict == WIRE_GRANTED  ? "granted"
                   : reply_r->verdict == WIRE_DENIED ? "denied"
                                                     : "unavailable");
    if (reply_r->verdict == WIRE_UNAVAILABLE)
        mailauth_log_unavailable(pamh, options->socket_path, "", reply_r);
    return pam_result(reply_r->verdict);
}

/* Leaves the first bytes of the secret to the modules behind. */
static int forward(pam_handle_t *pamh, const char *secret, size_t length)
{
    char head[PAM_MAX_RESP_SIZE + 1];
    int result = PAM_AUTHINFO_UNAVAIL;

    if (length < sizeof(head)) {
        memcpy(head, secret, length);
        head[length] = '\0';
        if (pam_set_item(pamh, PAM_AUTHTOK, head) == PAM_SUCCESS)
            result = PAM_SUCCESS;
    }
    explicit_bzero(head, sizeof(head));
    return result;
}

/* After an answer to second_factor_only: the password, without the code, is for the modules behind.
 * On a refusal they get the whole secret: they refuse it too, after the same work as a wrong
 * password, and our own verdict stands whatever they say. */
static int finish_second_factor(pam_handle_t *pamh, const struct options *options,
                                const char *secret, const struct wire_reply *reply, int result)
{
    size_t length = strlen(secret);

    if (result == PAM_SUCCESS && (!reply->has_tail || reply->tail_bytes > length)) {
        pam_syslog(pamh, LOG_ERR, "the server does not say how long the code was");
        result = PAM_AUTHINFO_UNAVAIL;
    }
    if (!options->forward_pass)
        return result;
    if (result == PAM_SUCCESS && reply->tail_bytes == length)
        result = PAM_AUTH_ERR; /* a code alone: nobody behind shall try an empty password */
    if (result == PAM_SUCCESS)
        return forward(pamh, secret, length - reply->tail_bytes);
    (void)forward(pamh, secret, length);
    return result;
}

static void forget(pam_handle_t *pamh, void *data, int error_status)
{
    (void)pamh;
    (void)error_status;
    free(data);
}

/* Remembers for pam_sm_acct_mgmt whom this handle has let in. */
static int remember(pam_handle_t *pamh)
{
    const void *user = NULL;
    char *copy;

    if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || user == NULL)
        return PAM_AUTHINFO_UNAVAIL;
    copy = strdup(user);
    if (copy == NULL)
        return PAM_AUTHINFO_UNAVAIL;
    if (pam_set_data(pamh, GRANTED_DATA, copy, forget) != PAM_SUCCESS) {
        free(copy);
        return PAM_AUTHINFO_UNAVAIL;
    }
    return PAM_SUCCESS;
}

/* What follows a verdict; still able to refuse. */
static int finish(pam_handle_t *pamh, const struct options *options,
                  const struct wire_request *request, const struct wire_reply *reply, int result)
{
    if (options->second_factor_only) {
        if (result == PAM_SUCCESS && reply->release[0] != '\0')
            result = mailauth_keep_release(pamh, request, reply);
        result = finish_second_factor(pamh, options, request->secret.data, reply, result);
    }
    if (result == PAM_SUCCESS && options->set_user &&
        pam_set_item(pamh, PAM_USER, reply->user) != PAM_SUCCESS)
        result = PAM_AUTHINFO_UNAVAIL;
    if (result == PAM_SUCCESS)
        result = remember(pamh);
    return result;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    struct secret secret = {NULL, NULL};
    struct wire_request request;
    struct wire_reply reply;
    char name[WIRE_MAX_USER];
    size_t length = 0;
    int result = PAM_AUTHINFO_UNAVAIL;

    (void)flags; /* an empty password is never accepted, and nothing is said to the user */
    /* An earlier grant on this handle must not outlive a later refusal. */
    if (pam_set_data(pamh, GRANTED_DATA, NULL, NULL) != PAM_SUCCESS ||
        !parse_options(pamh, argc, argv, &options))
        return PAM_AUTHINFO_UNAVAIL;
    /* Nor must this attempt's end give back the code of an earlier one, which may have passed. */
    if (options.second_factor_only && mailauth_drop_release(pamh) != PAM_SUCCESS)
        return PAM_AUTHINFO_UNAVAIL;

    result = get_name(pamh, &options, name, sizeof(name), &length);
    if (result == PAM_SUCCESS)
        result = get_secret(pamh, &options, &secret);
    if (result == PAM_SUCCESS)
        result = describe(pamh, &options, name, length, secret.text, &request);
    if (result == PAM_SUCCESS) {
        result = ask(pamh, &options, &request, &reply);
        result = finish(pamh, &options, &request, &reply, result);
    }
    explicit_bzero(&reply, sizeof(reply));
    if (secret.owned != NULL) {
        explicit_bzero(secret.owned, strlen(secret.owned));
        free(secret.owned);
    }
    return result;
}

/* There are no credentials to set.  But who asks has been let in: nothing is given back any more,
 * whatever the session's end will be called. */
int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    (void)argc;
    (void)argv;
    return mailauth_drop_release(pamh) == PAM_SUCCESS ? PAM_SUCCESS : PAM_CRED_ERR;
}

/* The server decides about the account together with its secret.  So this only says yes to the user
 * whom this module let in on this handle: alone in an account stack it opens nothing to who came
 * in by another way, such as an SSH key. */
int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    const void *granted = NULL;
    const void *user = NULL;

    (void)flags;
    (void)argc;
    (void)argv;
    /* The password was right, so that the code is spent even if the account is refused now. */
    if (mailauth_drop_release(pamh) != PAM_SUCCESS)
        return PAM_AUTH_ERR;
    if (pam_get_data(pamh, GRANTED_DATA, &granted) != PAM_SUCCESS || granted == NULL)
        return PAM_AUTH_ERR;
    if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || user == NULL)
        return PAM_AUTH_ERR;
    return strcmp(granted, user) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
}
