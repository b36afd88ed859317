#include "lackey/shell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lackey/environment.h"

/* The variables of the running task and those of the packet, on the heap; NULL without memory. */
static char *own_variables(const struct queued *run, const char *payload, size_t len)
{
    char *block = malloc(run->len + len + 1);

    if (block) {
        memcpy(block, run->environment, run->len);
        memcpy(block + run->len, payload, len);
    }
    return block;
}

/* Start the program; -1 with errno. */
static pid_t begin(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                   const int fds[3])
{
    const struct queued *run = lackey->running;

    if (!run || run->task != header->task) {
        errno = ESRCH;
        return -1;
    }
    char *own = own_variables(run, payload, len);
    if (!own)
        return -1;
    char **variables = environment_join(lackey->common, lackey->common_len, own, run->len + len);
    pid_t pid = variables ? lackey_run_script(lackey, header->flags, variables, fds) : -1;
    int error = errno;
    free(own);
    errno = error;
    return pid;
}

int shell_start(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                const int fds[3])
{
    static const struct rlimit no_core = {0, 0};
    struct pass_header said = {.type = PASS_BEGUN, .task = header->task};
    pid_t pid = begin(lackey, header, payload, len, fds);

    if (pid < 0) {
        said.flags = (uint32_t)errno;
    } else {
        lackey->usage.uncounted = pid;
        prlimit(pid, RLIMIT_CORE, &no_core, NULL); /* a core file would be taken for the task's */
    }
    return pass_send(lackey->sock, &said, NULL, 0, NULL, 0);
}

void shell_end(struct lackey *lackey)
{
    pid_t pid = lackey->usage.uncounted;

    if (pid <= 0)
        return;
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    kill(pid, SIGTERM);
    if (ended.fd < 0)
        return; /* a kernel before 5.3: its processes are killed with the task's, and counted */
    poll(&ended, 1, SHELL_GRACE_MS);
    close(ended.fd);
}
