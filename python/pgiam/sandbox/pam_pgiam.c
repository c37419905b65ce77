/* A PAM module that asks the sandbox's verifier whether a password is a valid auth token.
 *
 * PostgreSQL hands the password over whole (pam_exec would cut it at 511 bytes). The question goes over the
 * unix socket named by the argument "socket=": user, NUL, token, and the end of what we send. One byte comes
 * back: '1' lets the user in.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAM_SM_AUTH
#define PAM_SM_ACCOUNT
#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int ask(const char *path, const char *user, const char *token) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer = '0';
    int result = PAM_AUTHINFO_UNAVAIL;
    if (strlen(path) >= sizeof address.sun_path)
        return result;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return result;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send_all(fd, user, strlen(user) + 1) == 0 && send_all(fd, token, strlen(token)) == 0 &&
        shutdown(fd, SHUT_WR) == 0 && recv(fd, &answer, 1, MSG_WAITALL) == 1)
        result = answer == '1' ? PAM_SUCCESS : PAM_AUTH_ERR;
    close(fd);
    return result;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv) {
    const char *user = NULL;
    const char *path = NULL;
    char *token = NULL;
    (void)flags;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "socket=", 7) == 0)
            path = argv[i] + 7;
    if (path == NULL || pam_get_user(pamh, &user, NULL) != PAM_SUCCESS)
        return PAM_SERVICE_ERR;
    if (pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &token, "Password: ") != PAM_SUCCESS || token == NULL)
        return PAM_AUTH_ERR;
    int result = ask(path, user, token);
    explicit_bzero(token, strlen(token));
    free(token);
    return result;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv) {
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv) {
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}
