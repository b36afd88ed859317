/*
 * prefork - one bash for many tasks of a script: it has started already, and forks itself for each.
 *
 * To start, a bash needs as long as a small program to run: it is loaded, linked and initialized, and reads its
 * environment, and only then begins with the script. That is the same for all tasks of a script. So when many wait, one
 * bash is started with the script and the variables that all tasks have, and stopped right before the script; for each
 * task it forks, and the new process goes on.
 *
 * A task cannot tell. The process is a child of the lackey's (CLONE_PARENT) and leads a session, has the task's
 * descriptors and variables, and its own $$, RANDOM and SECONDS. What holds bash back is a builtin of ours
 * (loadable/prefork.c), which bash loads because BASH_ENV names the file that says so (beside the tools), and forgets
 * before the script. A bash that cannot load it ends; then tasks are started as ever. What shows: among the processes
 * of the instance is one more bash, and the arrays PIPESTATUS and BASH_ARGC have an element before the first command.
 *
 * The waiting bash is a process of the instance's user, so a task may end it, or do worse. What it answers is checked,
 * and it is not waited for long; while no task runs, the lackey sees by its children whether one was started. After a
 * few ends no more is started.
 */
#ifndef REMORA_PREFORK_H
#define REMORA_PREFORK_H

#include "lackey/task.h"

enum {
    PREFORK_WORTH = 8, /* tasks that must wait for a bash to be started for them */
    PREFORK_LOSSES = 3 /* after so many ends of one no more is started */
};

/* Zero at first. */
struct prefork {
    pid_t pid;    /* of the waiting bash; 0: there is none, or it has ended */
    int sock;     /* to it, if there is one */
    int children; /* the kernel's list of our children, likewise */
    int losses;
};

/*
 * prefork_start - start a bash for tasks of a script.
 *
 * `environment` is what all tasks have, with room for one more. The caller waits until bash has started. Returns 0, or
 * -1 if this bash cannot; tasks are to be started as ever then.
 */
int prefork_start(struct prefork *prefork, const struct task_setting *setting, const char *script, char **environment);

/*
 * prefork_run - start a task whose own variables are `len` bytes, "K=V\0" each.
 *
 * Call it while the caller has no child but the waiting bash. Returns the process id, a child of the caller's; or -1:
 * with errno EAGAIN nothing was started, with EPROTO the task may have been, and is to be ended with all processes.
 */
pid_t prefork_run(struct prefork *prefork, const char *variables, size_t len, const int fds[3]);

/* prefork_pid - the waiting bash; 0: there is none. */
pid_t prefork_pid(const struct prefork *prefork);

/* prefork_is_alone - whether the caller has no child but the waiting bash. */
int prefork_is_alone(const struct prefork *prefork);

/* prefork_ended - take note that a child has ended. Returns whether it was the waiting bash, which is lost then. */
int prefork_ended(struct prefork *prefork, pid_t pid);

/* prefork_end - end the waiting bash, if there is one, before the next script. */
void prefork_end(struct prefork *prefork);

#endif
