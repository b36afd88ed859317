/*
 * task - start the first process of a task, and end all of them.
 *
 * A task is everything that descends from its first process. In a PID namespace that is
 * everything but process 1; elsewhere it is every descendant of the subreaper that calls.
 * Either way what is orphaned becomes a child of the caller. So a task has ended when the
 * caller has no children left, and that is the test used here: `wait` says ECHILD.
 */
#ifndef REMORA_TASK_H
#define REMORA_TASK_H

#include <stdint.h>
#include <sys/types.h>

#include "landlock.h"

enum task_reach { TASK_NAMESPACE, TASK_DESCENDANTS };

/* How first processes are started. */
struct task_setting {
    enum task_reach reach;
    const char *bash;
    const char *directory;
    const struct landlock *files; /* what a task may open; NULL: all that it can */
};

/* What a task used: sums over all processes that were waited for, and the largest resident set. */
struct task_usage {
    uint64_t user_us, sys_us, max_rss_kb;
    int dumped; /* some process dumped core */
};

/*
 * task_start - start `bash -c script` with `fds` as 0, 1, 2 and exactly `environment`.
 *
 * The process leads a session of its own, blocks no signals, and has every disposition at
 * its default if the caller has. All other descriptors of the caller must be close-on-exec.
 * The caller is stopped until the program is loaded: memory is shared with it, not copied,
 * which is what keeps this as cheap as fork and exec can be.
 *
 * Returns its process id, or -1 with errno of the step that failed.
 */
pid_t task_start(const struct task_setting *setting, const char *script, char *const *environment, const int fds[3]);

/*
 * task_reap - wait for children that have ended, without blocking.
 *
 * Adds to `*usage`. Returns 1 and `*status` if `first` was among them, else 0.
 */
int task_reap(pid_t first, int *status, struct task_usage *usage);

/*
 * task_end - kill what is left and wait until nothing is.
 *
 * Returns 1 and `*status` if `first` was among those waited for, else 0.
 */
int task_end(const struct task_setting *setting, pid_t first, int *status, struct task_usage *usage);

#endif
