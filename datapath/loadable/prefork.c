/*
 * prefork - a builtin of bash, which makes one bash serve many tasks: see lackey/prefork.h for why and how.
 *
 * It is loaded by prefork.sh, before the script of `bash -c` begins, and never returns in the process that called it:
 * for each RUN that comes from the standard input it forks, and it is the new process in which it returns. That then
 * is what a bash is that has just been started for this task, with its descriptors and variables.
 *
 * What is used of bash is declared here, as its own headers and the manual of loadable builtins have it (bash 5.0 to
 * 5.3). Nothing is linked: bash has its own symbols, and those of the C library of its image.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "protocol/pass.h"

struct word_list;
struct variable;

struct builtin {
    const char *name;
    int (*function)(struct word_list *);
    int flags;
    char *const *long_doc;
    const char *short_doc;
    char *handle;
};

enum { BUILTIN_ENABLED = 1, EXECUTION_SUCCESS = 0 };

extern pid_t dollar_dollar_pid; /* $$ */
extern pid_t shell_pgrp;
extern time_t shell_start_time; /* which SECONDS counts from */
extern int mark_modified_vars;  /* as `set -a` does: variables that are set are exported */
struct variable *bind_variable(const char *name, char *value, int flags);
void seedrand(void); /* of RANDOM */

enum { CHANNEL = STDIN_FILENO };

/* A core file of this process would be taken for a task's; its children may leave some. */
static struct rlimit cores;

static void set_variables(char *block, size_t len)
{
    mark_modified_vars = 1;
    for (char *at = block, *next; at < block + len; at = next) {
        char *value = strchr(at, '=');

        next = at + strlen(at) + 1;
        *value++ = '\0';
        bind_variable(at, value, 0);
    }
    mark_modified_vars = 0;
}

/* Become the first process of a task, as `task_start` and the beginning of bash would have made it. */
static int begin(char *block, size_t len, const int fds[3])
{
    setrlimit(RLIMIT_CORE, &cores);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            _exit(126);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    setsid();
    dollar_dollar_pid = shell_pgrp = getpid();
    seedrand();
    shell_start_time = time(NULL);
    set_variables(block, len);
    return EXECUTION_SUCCESS;
}

/* Whether a packet starts a task: three descriptors, and variables that have names and ends. */
static int is_run(const struct pass_header *header, const char *block, size_t len, size_t nfds)
{
    if (header->type != PASS_RUN || nfds != 3 || (len && block[len - 1]))
        return 0;
    for (const char *at = block; at < block + len; at += strlen(at) + 1)
        if (!strchr(at, '='))
            return 0;
    return 1;
}

static void say(int error, long pid)
{
    struct pass_header begun = {.type = PASS_BEGUN, .flags = (uint32_t)error, .task = (uint64_t)pid};

    if (pass_send(CHANNEL, &begun, NULL, 0, NULL, 0) < 0)
        _exit(0);
}

static int serve(struct word_list *none)
{
    static char block[PASS_MAX];
    struct rlimit no_cores;

    (void)none;
    if (getrlimit(RLIMIT_CORE, &cores) < 0)
        _exit(1);
    no_cores = (struct rlimit){0, cores.rlim_max};
    setrlimit(RLIMIT_CORE, &no_cores);
    say(0, 0);
    for (;;) {
        struct pass_header header;
        int fds[3];
        size_t nfds = 3;
        ssize_t len = pass_recv(CHANNEL, &header, block, sizeof block, fds, &nfds);

        if (len < 0 || !is_run(&header, block, (size_t)len, nfds))
            _exit(0);
        /* The lackey is the parent, so that it waits for the task as for any other. */
        long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            return begin(block, (size_t)len, fds);
        say(pid < 0 ? errno : 0, pid < 0 ? 0 : pid);
        for (int i = 0; i < 3; i++)
            close(fds[i]);
    }
}

static char *const help[] = {"Serve tasks, each in a process of its own.", NULL};

__attribute__((visibility("default"))) struct builtin prefork_struct = {
    .name = "prefork",
    .function = serve,
    .flags = BUILTIN_ENABLED,
    .long_doc = help,
    .short_doc = "prefork",
};
