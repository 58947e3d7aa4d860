/*
 * fault.c - a preload library that makes one chosen call fail, once
 *
 *     FAULT_CALL=recv FAULT_NTH=2 [FAULT_ERRNO=4] [FAULT_VALUE=0] LD_PRELOAD=fault.so pam_driver
 * ...
 *
 * Between fault_arm() and fault_disarm(), which pam_driver calls around authenticate and acct_mgmt
 * (or around pam_end), the FAULT_NTH-th call of FAULT_CALL by pam_mailauth.so does not happen but
 * returns FAULT_VALUE (its usual error if not given) with FAULT_ERRNO.  A positive FAULT_VALUE cuts
 * a send short instead.  Of allocations those by libpam count too, except as "own-calloc".
 * fault_disarm() returns how many calls there were, so that a test knows when
 * it has been through all of them.
 *
 * Must not be used by anything but tests.  Privileges: none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

/* Behind the names that are replaced below. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct {
    bool armed;
    const char *call;
    long nth, seen;
    int error;
    bool has_value;
    long value;
} fault;

void fault_arm(void);
void fault_arm(void)
{
    const char *nth = getenv("FAULT_NTH"), *error = getenv("FAULT_ERRNO"),
               *value = getenv("FAULT_VALUE");

    fault.call = getenv("FAULT_CALL");
    fault.nth = nth != NULL ? atol(nth) : 1;
    fault.error = error != NULL ? atoi(error) : 0;
    fault.has_value = value != NULL;
    fault.value = value != NULL ? atol(value) : 0;
    fault.seen = 0;
    fault.armed = fault.call != NULL;
}

long fault_disarm(void);
long fault_disarm(void)
{
    fault.armed = false;
    return fault.seen;
}

/* libpam logs, audits and allocates on its own. */
static bool ours(const char *call, const void *caller)
{
    Dl_info from;

    return (strstr(call, "alloc") != NULL && strncmp(call, "own-", 4) != 0) ||
           (dladdr(caller, &from) != 0 && strstr(from.dli_fname, "pam_mailauth") != NULL);
}

static bool due_from(const char *call, int usual_error, const void *caller)
{
    if (!fault.armed || strcmp(fault.call, call) != 0 || !ours(call, caller) ||
        ++fault.seen != fault.nth)
        return false;
    errno = fault.error != 0 ? fault.error : usual_error;
    return true;
}

#define due(call, usual_error) due_from(call, usual_error, __builtin_return_address(0))
#define REAL(name)             ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILS(call, usual_error, usual_value)                                                      \
    do {                                                                                           \
        if (due(call, usual_error))                                                                \
            return fault.has_value ? (__typeof__(usual_value))fault.value : (usual_value);         \
    } while (0)

int socket(int domain, int type, int protocol)
{
    FAILS("socket", EMFILE, -1);
    return REAL(socket)(domain, type, protocol);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    FAILS("setsockopt", ENOPROTOOPT, -1);
    return REAL(setsockopt)(fd, level, name, value, length);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    FAILS("connect", EACCES, -1);
    return REAL(connect)(fd, address, length);
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    if (due("send", EPIPE)) {
        if (!fault.has_value || fault.value <= 0)
            return fault.has_value ? fault.value : -1;
        if (length > (size_t)fault.value)
            length = (size_t)fault.value;
    }
    return REAL(send)(fd, data, length, flags);
}

ssize_t recv(int fd, void *data, size_t length, int flags)
{
    FAILS("recv", ECONNRESET, (ssize_t)-1);
    return REAL(recv)(fd, data, length, flags);
}

ssize_t __recv_chk(int fd, void *data, size_t length, size_t room, int flags);
ssize_t __recv_chk(int fd, void *data, size_t length, size_t room, int flags)
{
    FAILS("recv", ECONNRESET, (ssize_t)-1);
    return REAL(__recv_chk)(fd, data, length, room, flags);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    FAILS("poll", ENOMEM, -1);
    return REAL(poll)(fds, count, timeout);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    FAILS("clock_gettime", EINVAL, -1);
    return REAL(clock_gettime)(clock, now);
}

int close(int fd)
{
    int result = REAL(close)(fd);

    FAILS("close", EIO, -1);
    return result;
}

int inet_pton(int family, const char *text, void *address);
int inet_pton(int family, const char *text, void *address)
{
    FAILS("inet_pton", EAFNOSUPPORT, -1);
    return REAL(inet_pton)(family, text, address);
}

char *strdup(const char *text)
{
    FAILS("strdup", ENOMEM, (char *)NULL);
    return REAL(strdup)(text);
}

void *malloc(size_t size)
{
    FAILS("malloc", ENOMEM, (void *)NULL);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    FAILS("calloc", ENOMEM, (void *)NULL);
    FAILS("own-calloc", ENOMEM, (void *)NULL);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    FAILS("realloc", ENOMEM, (void *)NULL);
    return __libc_realloc(old, size);
}

int pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt)
{
    FAILS("pam_get_user", 0, PAM_CONV_ERR);
    return REAL(pam_get_user)(pamh, user, prompt);
}

int pam_get_item(const pam_handle_t *pamh, int type, const void **item)
{
    FAILS("pam_get_item", 0, PAM_SYSTEM_ERR);
    return REAL(pam_get_item)(pamh, type, item);
}

int pam_set_item(pam_handle_t *pamh, int type, const void *item)
{
    FAILS("pam_set_item", 0, PAM_BUF_ERR);
    return REAL(pam_set_item)(pamh, type, item);
}

int pam_get_data(const pam_handle_t *pamh, const char *name, const void **data)
{
    FAILS("pam_get_data", 0, PAM_NO_MODULE_DATA);
    return REAL(pam_get_data)(pamh, name, data);
}

int pam_set_data(pam_handle_t *pamh, const char *name, void *data,
                 void (*cleanup)(pam_handle_t *, void *, int))
{
    FAILS("pam_set_data", 0, PAM_BUF_ERR);
    return REAL(pam_set_data)(pamh, name, data, cleanup);
}

int pam_prompt(pam_handle_t *pamh, int style, char **response, const char *format, ...)
{
    va_list arguments;
    int result;

    FAILS("pam_prompt", 0, PAM_CONV_ERR);
    va_start(arguments, format);
    result = pam_vprompt(pamh, style, response, format, arguments);
    va_end(arguments);
    return result;
}
