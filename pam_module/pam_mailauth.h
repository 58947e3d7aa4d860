/*
 * pam_mailauth.h - what the two halves of pam_mailauth.so share
 *
 * Holds the functions of pam_release.c, which reports passwords that were refused behind us, and
 * which pam_mailauth.c calls.  None of them is exported (pam_mailauth.map).
 */
#ifndef MAILAUTH_PAM_MAILAUTH_H
#define MAILAUTH_PAM_MAILAUTH_H

#include "wire.h"

#include <security/pam_modules.h>

/* After a grant with a release: leaves in the handle what pam_end() needs to give the code back.
 * PAM_SUCCESS or PAM_AUTHINFO_UNAVAIL. */
int mailauth_keep_release(pam_handle_t *pamh, const struct wire_request *request,
                          const struct wire_reply *reply);

/* From here on the code stays spent.  PAM_SUCCESS or PAM_AUTHINFO_UNAVAIL. */
int mailauth_drop_release(pam_handle_t *pamh);

/* Logs why there was no clear answer; what stands before the reason. */
void mailauth_log_unavailable(const pam_handle_t *pamh, const char *socket_path, const char *what,
                              const struct wire_reply *reply);

#endif
