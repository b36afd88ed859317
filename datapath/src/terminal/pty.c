#include "terminal/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lackey/bash.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

enum { PROMPT_MAX = 256 };

/* Open both ends of a new terminal of this size. Returns 0, or -1 with errno. */
static int open_pair(const struct order *order, int *master, int *slave)
{
    struct winsize size = {.ws_col = order->columns, .ws_row = order->lines};
    int locked = 0;

    *master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (*master < 0)
        return -1;
    if (ioctl(*master, TIOCSPTLCK, &locked) == 0 && ioctl(*master, TIOCSWINSZ, &size) == 0 &&
        (*slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0)
        return 0;
    int problem = errno;
    close(*master);
    errno = problem;
    return -1;
}

/* What to execute: see pty_start. */
static char *const *program(const struct order *order, const char *argv[])
{
    const char *const *from = order->argv;
    const char *name = strrchr(*from, '/');

    if (access(*from, X_OK) < 0 && name && strcmp(name, "/ctrun") == 0)
        for (const char *const *at = from + 1; *at; at++)
            if (**at == '/') {
                from = at;
                break;
            }
    for (size_t i = 0; (argv[i] = from[i]) != NULL; i++)
        ;
    if (strcmp(argv[0], "/bin/bash") == 0)
        argv[0] = bash_find();
    return (char *const *)argv;
}

static void set_environment(const struct order *order)
{
    const char *user = getenv("MANTA_USER");
    char prompt[PROMPT_MAX];

    snprintf(prompt, sizeof prompt, "\\[\\033[1m\\]%s@manta # \\[\\033[0m\\]", user ? user : "");
    setenv("TERM", order->term, 1);
    setenv("PS1", prompt, 1);
    unsetenv("COLUMNS");
    unsetenv("LINES");
}

/* In the child: take the terminal and become the program. Returns only on failure, with errno. */
static void become(const struct order *order, int slave)
{
    const char *argv[ORDER_ARGUMENTS + 1];
    struct rlimit core;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &core);
    }
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(slave, fd) < 0)
            return;
    if (chdir(order->cwd) < 0 && chdir("/") < 0)
        return;
    char *const *words = program(order, argv);
    execv(words[0], words);
}

/* Wait until the child has become the program. Returns 0, or -1 with its errno. */
static int became(int told, pid_t pid)
{
    int problem = 0;
    ssize_t n;

    while ((n = read(told, &problem, sizeof problem)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return 0;
    waitpid(pid, NULL, 0);
    errno = n == sizeof problem ? problem : EIO;
    return -1;
}

int pty_start(struct pty *pty, const struct order *order)
{
    int slave, tell[2];

    if (open_pair(order, &pty->master, &slave) < 0)
        return -1;
    set_environment(order);
    pty->pid = -1;
    if (pipe2(tell, O_CLOEXEC) == 0) {
        pty->pid = fork();
        if (pty->pid == 0) {
            become(order, slave);
            int problem = errno;
            _exit(write(tell[1], &problem, sizeof problem) == sizeof problem ? 127 : 126);
        }
        int problem = errno;
        close(tell[1]);
        errno = problem;
        if (pty->pid > 0 && became(tell[0], pty->pid) < 0)
            pty->pid = -1;
        problem = errno;
        close(tell[0]);
        errno = problem;
    }
    int problem = errno;
    close(slave);
    if (pty->pid < 0)
        close(pty->master);
    errno = problem;
    return pty->pid < 0 ? -1 : 0;
}

int pty_resize(const struct pty *pty, const struct order *order)
{
    struct winsize size = {.ws_col = order->columns, .ws_row = order->lines};

    return ioctl(pty->master, TIOCSWINSZ, &size);
}
