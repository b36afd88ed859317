#include "lackey/task.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lackey/plain.h"
#include "lackey/prefork.h"

/* The parameters of the new process, on its parent's stack, which is suspended meanwhile. */
struct start {
    const struct task_setting *setting;
    const char *script;
    char *const *words;
    char **environment;
    const int *fds;
    int rules; /* of Landlock; -1: none */
    int error;
};

enum { STACK_BYTES = 64 * 1024, SPARING_ROUNDS = 32 };

/* Frames on that stack never return, but are replaced by exec: the address sanitizer would keep them. */
#define NEVER_LEFT __attribute__((no_sanitize("address")))

NEVER_LEFT static int prepare(const struct start *start)
{
    const struct task_setting *setting = start->setting;
    sigset_t none;

    for (int i = 0; i < 3; i++)
        if (dup2(start->fds[i], i) < 0)
            return -1;
    if (setsid() < 0 || chdir(setting->directory) < 0)
        return -1;
    /* Without a namespace that dies with us, at least the first process does. */
    if (setting->reach == TASK_DESCENDANTS && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (start->rules >= 0 && landlock_enter(start->rules) < 0)
        return -1;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

NEVER_LEFT static int first_process(void *argument)
{
    struct start *start = argument;
    char *const arguments[] = {"bash", "--norc", "-c", (char *)start->script, NULL};

    if (prepare(start) == 0) {
        if (start->words)
            plain_execute(start->words, start->environment);
        execve(start->setting->bash, arguments, start->environment);
    }
    start->error = errno;
    _exit(127);
}

pid_t task_start(const struct task_setting *setting, const char *script, char *const *words, char **environment,
                 const int fds[3])
{
    static char stack[STACK_BYTES] __attribute__((aligned(64)));
    struct start start = {
        .setting = setting, .script = script, .words = words, .environment = environment, .fds = fds, .rules = -1};

    if (setting->files && (start.rules = landlock_rules(setting->files, fds)) < 0)
        return -1;
    pid_t pid = clone(first_process, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
    int error = errno;
    if (start.rules >= 0)
        close(start.rules);
    errno = error;
    if (pid > 0 && start.error) {
        waitpid(pid, NULL, 0);
        errno = start.error;
        return -1;
    }
    return pid;
}

static uint64_t microseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void add(struct task_usage *usage, int status, const struct rusage *used)
{
    usage->user_us += microseconds(used->ru_utime);
    usage->sys_us += microseconds(used->ru_stime);
    if ((uint64_t)used->ru_maxrss > usage->max_rss_kb)
        usage->max_rss_kb = (uint64_t)used->ru_maxrss;
    if (WIFSIGNALED(status) && WCOREDUMP(status))
        usage->dumped = 1;
}

/* The first process of a task, its status once it has ended, and what else its children end to. */
struct waiting {
    pid_t first;
    int *status;
    struct task_usage *usage;
    struct prefork *prefork;
    int was_first;
};

/* Wait for one child. Returns as wait4(2), but retries after interruptions. */
static pid_t wait_one(int options, struct waiting *waiting)
{
    struct task_usage *usage = waiting->usage;
    struct rusage used;
    int ended;
    pid_t pid;

    do
        pid = wait4(-1, &ended, options | __WALL, &used);
    while (pid < 0 && errno == EINTR);
    if (pid > 0 && pid == usage->uncounted)
        usage->uncounted = 0; /* another process may have its number next */
    else if (pid > 0 && !prefork_ended(waiting->prefork, pid))
        add(usage, ended, &used);
    if (pid > 0 && pid == waiting->first) {
        *waiting->status = ended;
        waiting->was_first = 1;
    }
    return pid;
}

int task_reap(pid_t first, int *status, struct task_usage *usage, struct prefork *prefork)
{
    struct waiting waiting = {.first = first, .status = status, .usage = usage, .prefork = prefork};

    while (wait_one(WNOHANG, &waiting) > 0)
        ;
    return waiting.was_first;
}

/* Kill one generation; the next one, orphaned by this, becomes our own and is killed in the next round. */
static void kill_children(pid_t spared)
{
    char path[64];
    int child;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *list = fopen(path, "re");
    if (!list)
        return;
    while (fscanf(list, "%d", &child) == 1)
        if (child != spared)
            kill(child, SIGKILL);
    fclose(list);
}

/* Kill what a task has left, and a waiting bash only if that could go on for ever. */
static void kill_left(const struct task_setting *setting, pid_t spared, int round)
{
    if (setting->reach == TASK_NAMESPACE && (!spared || round >= SPARING_ROUNDS))
        kill(-1, SIGKILL);
    else
        kill_children(spared);
}

int task_end(const struct task_setting *setting, pid_t first, int *status, struct task_usage *usage,
             struct prefork *prefork)
{
    struct waiting waiting = {.first = first, .status = status, .usage = usage, .prefork = prefork};
    int round = 0;
    pid_t pid;

    /* Nearly always no process is left, and this one call shows it, or the next one. */
    while ((pid = wait_one(WNOHANG, &waiting)) >= 0)
        if (pid == 0) {
            if (prefork_is_alone(prefork))
                break;
            kill_left(setting, prefork_pid(prefork), round++);
            wait_one(0, &waiting);
        }
    return waiting.was_first;
}
