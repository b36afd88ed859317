#include "split/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPE = 1024 * 1024 };

int child_start(char *const argv[], int in, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error)
        return error;
    error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!error)
        error = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int child_read_output(const char *command, pid_t *pid)
{
    char *argv[] = {"bash", "-c", (char *)command, NULL};
    int ends[2], error;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    fcntl(ends[1], F_SETPIPE_SZ, PIPE); /* fewer switches; a refusal changes nothing else */
    error = child_start(argv, ends[0], STDOUT_FILENO, pid);
    if (!error && dup2(ends[1], STDOUT_FILENO) < 0)
        error = errno;
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    close(ends[1]);
    return error;
}

int child_wait(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
