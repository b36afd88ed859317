#include "lackey/prefork.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/pass.h"

enum { PATIENCE_MS = 5000 }; /* with a bash that starts or forks */

/* What bash reads before the script; the builtin lies beside it. */
#define PLACE "/.remora/bin/.prefork.sh"

/* The answer of the waiting bash: the process that it has made, or 0: none (it has started, or `*error` says why). -1:
 * none that makes sense. */
static pid_t answer(const struct prefork *prefork, int *error)
{
    struct pollfd heard = {.fd = prefork->sock, .events = POLLIN};
    struct pass_header header;
    size_t nfds = 0;
    int none, ready;

    do
        ready = poll(&heard, 1, PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0 || pass_recv(prefork->sock, &header, NULL, 0, &none, &nfds) != 0 || header.type != PASS_BEGUN)
        return -1;
    *error = (int)header.flags;
    return header.task <= INT32_MAX ? (pid_t)header.task : -1;
}

/* Whether a process may be a task: a child, and not the waiting bash itself. */
static int is_task(const struct prefork *prefork, pid_t pid)
{
    siginfo_t unused;

    return pid > 0 && pid != prefork->pid &&
           waitid(P_PID, (id_t)pid, &unused, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Whether there is any child, up to those that have ended and were not waited for. */
static int has_children(void)
{
    siginfo_t unused;

    return waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Start a bash with `channel` as its standard input; nothing that it says is heard. */
static pid_t start(const struct task_setting *setting, const char *script, char **environment, int channel)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -1;
    pid_t pid = task_start(setting, script, NULL, environment, (const int[]){channel, null, null});
    close(null);
    return pid;
}

static void add_variable(char **environment, char *variable)
{
    while (*environment)
        environment++;
    environment[0] = variable;
    environment[1] = NULL;
}

static void close_both(struct prefork *prefork)
{
    close(prefork->sock);
    close(prefork->children);
    prefork->pid = 0;
}

static int open_both(struct prefork *prefork, int *theirs)
{
    char path[64];
    int pair[2];

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    prefork->children = open(path, O_RDONLY | O_CLOEXEC);
    if (prefork->children < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        close(prefork->children);
        return -1;
    }
    prefork->sock = pair[0];
    *theirs = pair[1];
    return 0;
}

/* End one that is of no use. */
static void lose(struct prefork *prefork)
{
    int losses = prefork->losses + 1;

    prefork_end(prefork);
    prefork->losses = losses;
}

int prefork_start(struct prefork *prefork, const struct task_setting *setting, const char *script, char **environment)
{
    static char variable[] = "BASH_ENV=" PLACE;
    int theirs, error;

    if (access(PLACE, R_OK) < 0 || open_both(prefork, &theirs) < 0) {
        prefork->losses = PREFORK_LOSSES;
        return -1;
    }
    add_variable(environment, variable);
    prefork->pid = start(setting, script, environment, theirs);
    close(theirs);
    if (prefork->pid > 0 && answer(prefork, &error) == 0)
        return 0;
    if (prefork->pid > 0)
        prefork_end(prefork);
    else
        close_both(prefork);
    prefork->losses = PREFORK_LOSSES;
    return -1;
}

pid_t prefork_run(struct prefork *prefork, const char *variables, size_t len, const int fds[3])
{
    struct pass_header run = {.type = PASS_RUN};
    int error = 0;
    pid_t pid = pass_send(prefork->sock, &run, variables, len, fds, 3) < 0 ? -1 : answer(prefork, &error);

    if (is_task(prefork, pid))
        return pid;
    int failed = pid == 0 && error; /* to fork: it may be able to, later */
    if (!failed)
        lose(prefork);
    errno = failed || !has_children() ? EAGAIN : EPROTO;
    return -1;
}

pid_t prefork_pid(const struct prefork *prefork)
{
    return prefork ? prefork->pid : 0;
}

int prefork_is_alone(const struct prefork *prefork)
{
    char list[32], expected[32];

    if (!prefork_pid(prefork))
        return 0;
    ssize_t got = pread(prefork->children, list, sizeof list, 0);
    int len = snprintf(expected, sizeof expected, "%d ", (int)prefork->pid);
    return got == len && memcmp(list, expected, (size_t)len) == 0;
}

int prefork_ended(struct prefork *prefork, pid_t pid)
{
    if (pid != prefork_pid(prefork))
        return 0;
    close_both(prefork);
    prefork->losses++;
    return 1;
}

void prefork_end(struct prefork *prefork)
{
    if (prefork->pid) {
        kill(prefork->pid, SIGKILL);
        while (waitpid(prefork->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close_both(prefork);
    }
    prefork->losses = 0;
}
