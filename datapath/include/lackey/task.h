/*
 * task - start the first process of a task, and end all its processes.
 *
 * A task consists of all descendants of its first process. In a PID namespace those are
 * all processes but process 1; elsewhere they are all descendants of the subreaper that
 * calls. Either way an orphan becomes a child of the caller. So a task has ended when the
 * caller has no children left, but for a bash that waits for tasks, which is part of no task
 * (prefork.h; `prefork` is NULL where there can be none).
 */
#ifndef REMORA_TASK_H
#define REMORA_TASK_H

#include <stdint.h>
#include <sys/types.h>

#include "sandbox/landlock.h"

struct prefork;

enum task_reach { TASK_NAMESPACE, TASK_DESCENDANTS };

/* How first processes are started. */
struct task_setting {
    enum task_reach reach;
    const char *bash;
    int bash_is_five; /* its ways are known, so that it need not run plain scripts */
    const char *directory;
    const struct landlock *files; /* the files that a task may open; NULL: no restriction */
};

/* The resource usage of a task: sums over all processes that were waited for, and the largest resident set. */
struct task_usage {
    uint64_t user_us, sys_us, max_rss_kb;
    int dumped;      /* a process dumped core */
    pid_t uncounted; /* the process whose resource usage and end are none of the task's; 0: there is none */
};

/*
 * task_start - start `bash -c script` with `fds` as 0, 1, 2 and exactly `environment`.
 *
 * If the script is plain, `words` are its words, else NULL; then their program starts without bash, if plain.h allows.
 * `environment` has room for what bash would add.
 *
 * The process leads a session of its own, blocks no signals, and has every disposition at
 * its default if the caller has. All other descriptors of the caller must be
 * close-on-exec. The caller is suspended until the program is loaded: memory is shared
 * with it, not copied, which makes this as cheap as fork and exec can be.
 *
 * Returns the process id, or -1 with errno of the step that failed.
 */
pid_t task_start(const struct task_setting *setting, const char *script, char *const *words, char **environment,
                 const int fds[3]);

/*
 * task_reap - wait for children that have ended, without blocking.
 *
 * Adds to `*usage`. Returns 1 and `*status` if `first` was among them, else 0.
 */
int task_reap(pid_t first, int *status, struct task_usage *usage, struct prefork *prefork);

/*
 * task_end - kill all processes of the task and wait for them.
 *
 * A bash that waits for tasks is killed with them only if they keep making new ones. Returns 1 and
 * `*status` if `first` was among those waited for, else 0.
 */
int task_end(const struct task_setting *setting, pid_t first, int *status, struct task_usage *usage,
             struct prefork *prefork);

#endif
