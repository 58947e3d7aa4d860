/*
 * pam_driver.c - a PAM application for tests, with a service directory of its own
 *
 *     pam_driver auth [OPTION...] DIR SERVICE USER   secrets on standard input, one a line
 *     pam_driver serve PATH                          grants everything, for ever
 *
 * "auth" authenticates in one process and prints the results of authenticate, acct_mgmt, setcred
 * and pam_end as names, the user afterwards, the prompts, and the process's memory and descriptors
 * after a tenth of the runs and at the end.  Each prompt is answered by the next line, or by the
 * last one when there are no more.  The last status is what pam_end is told.
 *
 *     -n COUNT   that many times, each with a new handle
 *     -a COUNT   authenticate that many times with one handle
 *     -r RHOST   where the client is
 *     -o         acct_mgmt without authenticate
 *     -s         after a failure only pam_end, as mail servers do it
 *     -x STATUS  what pam_end is told instead: "success", or "silent" for the last status as a
 *                child process passes it
 *     -e         arm fault.c around pam_end, not around authenticate and acct_mgmt
 *
 * Must not be used by anything but tests.  Privileges: none.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <security/pam_appl.h>

struct run {
    const char *directory, *service, *user, *rhost;
    const char *end_status;
    char secrets[20000];
    char *next_secret;
    long attempts;
    bool account_only, stop_at_failure, fault_at_end;
    bool say;
};

static const char *name_of(int result)
{
    switch (result) {
    case PAM_SUCCESS:
        return "SUCCESS";
    case PAM_AUTH_ERR:
        return "AUTH_ERR";
    case PAM_AUTHINFO_UNAVAIL:
        return "AUTHINFO_UNAVAIL";
    case PAM_IGNORE:
        return "IGNORE";
    case PAM_PERM_DENIED:
        return "PERM_DENIED";
    case PAM_BUF_ERR:
        return "BUF_ERR";
    case PAM_CONV_ERR:
        return "CONV_ERR";
    case PAM_SYSTEM_ERR:
        return "SYSTEM_ERR";
    case PAM_ABORT:
        return "ABORT";
    case PAM_CRED_ERR:
        return "CRED_ERR";
    default:
        return "OTHER";
    }
}

/* The next line of the secrets; the last one again and again. */
static char *next_secret(struct run *run)
{
    char *lf = strchr(run->next_secret, '\n');
    char *secret = lf != NULL ? strndup(run->next_secret, (size_t)(lf - run->next_secret))
                              : strdup(run->next_secret);

    if (lf != NULL)
        run->next_secret = lf + 1;
    return secret;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **replies_r,
                    void *data)
{
    struct run *run = data;
    struct pam_response *replies = calloc((size_t)count, sizeof(*replies));

    if (replies == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        if (run->say)
            printf("prompt=%s\n", messages[i]->msg);
        if (messages[i]->msg_style != PAM_PROMPT_ECHO_OFF)
            continue;
        replies[i].resp = next_secret(run);
        if (replies[i].resp == NULL) {
            free(replies);
            return PAM_BUF_ERR;
        }
    }
    *replies_r = replies;
    return PAM_SUCCESS;
}

static void fault_arm(void)
{
    void (*arm)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "fault_arm");

    if (arm != NULL)
        arm();
}

static long fault_disarm(void)
{
    long (*disarm)(void) = (long (*)(void))dlsym(RTLD_DEFAULT, "fault_disarm");

    return disarm != NULL ? disarm() : 0;
}

/* What the application tells pam_end. */
static int end_status(const struct run *run, int last)
{
    if (run->end_status == NULL)
        return last;
    return strcmp(run->end_status, "silent") == 0 ? last | PAM_DATA_SILENT : PAM_SUCCESS;
}

/* One login as an application does it.  Returns the result of authenticate. */
static int login(struct run *run)
{
    struct pam_conv conversation = {converse, run};
    pam_handle_t *pamh = NULL;
    const void *user = NULL;
    int authenticated = PAM_SUCCESS, account = PAM_SUCCESS, credentials = PAM_SUCCESS, last, ended;
    long calls = 0;

    run->next_secret = run->secrets;
    if (pam_start_confdir(run->service, run->user, &conversation, run->directory, &pamh) !=
            PAM_SUCCESS ||
        (run->rhost != NULL && pam_set_item(pamh, PAM_RHOST, run->rhost) != PAM_SUCCESS)) {
        fprintf(stderr, "cannot start PAM\n");
        exit(2);
    }
    if (!run->fault_at_end)
        fault_arm();
    for (long i = 0; i < run->attempts && !run->account_only; i++)
        authenticated = pam_authenticate(pamh, 0);
    last = authenticated;
    if (!run->stop_at_failure || last == PAM_SUCCESS)
        last = account = pam_acct_mgmt(pamh, 0);
    if (!run->fault_at_end)
        calls = fault_disarm();
    if (!run->stop_at_failure || last == PAM_SUCCESS)
        credentials = pam_setcred(pamh, PAM_ESTABLISH_CRED);
    (void)pam_get_item(pamh, PAM_USER, &user);
    if (run->say)
        printf("authenticate=%s\naccount=%s\nsetcred=%s\nuser=%s\n",
               run->account_only ? "none" : name_of(authenticated), name_of(account),
               name_of(credentials), user != NULL ? (const char *)user : "");
    if (run->fault_at_end)
        fault_arm();
    ended = pam_end(pamh, end_status(run, authenticated != PAM_SUCCESS ? authenticated : last));
    if (run->fault_at_end)
        calls = fault_disarm();
    if (run->say)
        printf("end=%s\ncalls=%ld\n", name_of(ended), calls);
    return authenticated;
}

static void report_resources(const char *when)
{
    char line[256];
    int descriptors = 0;
    DIR *directory = opendir("/proc/self/fd");
    FILE *status = fopen("/proc/self/status", "r");

    while (directory != NULL && readdir(directory) != NULL)
        descriptors++;
    if (directory != NULL)
        closedir(directory);
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            printf("rss_kb_%s=%ld\n", when, atol(line + 6));
    }
    if (status != NULL)
        fclose(status);
    printf("descriptors_%s=%d\n", when, descriptors);
}

static int authenticate(int argc, char **argv)
{
    static struct run run = {.attempts = 1};
    long count = 1, granted = 0;
    int option;
    size_t length;

    while ((option = getopt(argc, argv, "n:a:r:x:ose")) != -1) {
        if (option == 'n')
            count = atol(optarg);
        else if (option == 'a')
            run.attempts = atol(optarg);
        else if (option == 'r')
            run.rhost = optarg;
        else if (option == 'x')
            run.end_status = optarg;
        else if (option == 'o')
            run.account_only = true;
        else if (option == 's')
            run.stop_at_failure = true;
        else if (option == 'e')
            run.fault_at_end = true;
        else
            return 2;
    }
    if (argc - optind != 3)
        return 2;
    run.directory = argv[optind];
    run.service = argv[optind + 1];
    run.user = argv[optind + 2];
    length = fread(run.secrets, 1, sizeof(run.secrets) - 1, stdin);
    run.secrets[length] = '\0';

    for (long i = 0; i < count; i++) {
        run.say = i == count - 1;
        if (login(&run) == PAM_SUCCESS)
            granted++;
        if (count > 1 && i == count / 10)
            report_resources("early");
    }
    if (count > 1)
        report_resources("late");
    printf("granted=%ld\n", granted);
    return 0;
}

static int serve(const char *path)
{
    static const char greeting[] = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n"
                                   "COOKIE\t00000000000000000000000000000000\nDONE\n";
    static const char granted[] = "OK\t1\tuser=anna@example.org\n";
    static const char spent[] = "OK\t1\tuser=anna@example.org\ttail=6"
                                "\trelease=0123456789abcdef0123456789abcdef\n";
    static const char given_back[] = "FAIL\t1\tuser=anna@example.org\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char request[20000];
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path))
        return 2;
    strcpy(address.sun_path, path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 128) != 0)
        return 2;
    puts("ready");
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        const char *answer = granted;
        ssize_t length;

        if (client < 0)
            continue;
        (void)send(client, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
        length = recv(client, request, sizeof(request) - 1, 0);
        request[length > 0 ? length : 0] = '\0';
        if (strstr(request, "\tfactor=second\t") != NULL)
            answer = spent;
        else if (strstr(request, "\tfactor=release\t") != NULL)
            answer = given_back;
        (void)send(client, answer, strlen(answer), MSG_NOSIGNAL);
        close(client);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    if (argc > 1 && strcmp(argv[1], "auth") == 0)
        return authenticate(argc - 1, argv + 1);
    fprintf(stderr, "usage: pam_driver auth [OPTION...] DIR SERVICE USER | serve PATH\n");
    return 2;
}
