/*
 * lackey - the program that runs tasks one after another for an agent at the other end of a socket.
 *
 * The packets are those of pass.h. A queued task starts as soon as the one before has
 * ended, without a round trip to the agent. A task ends when its first process does, when
 * the agent says STOP, or when any of its processes dumps core; then all its other
 * processes are killed, and DONE is sent only when none is left. So the outputs of a
 * reported task are final. When the agent closes the socket, or dies, everything ends.
 *
 * A task whose script is PASS_PIPED may open its outputs again by name, as often as it likes:
 * it prints into pipes, and what comes out of them is appended to its files (see outpipe.h).
 * If a file takes no more, the task ends.
 *
 * A core file is renamed to `.core.<task>` where it lies, so that the next task cannot
 * write over it while the agent fetches it.
 *
 * To end an instance, close the socket, or send SIGTERM to the process that was started:
 * either ends every task, with and without namespaces. SIGKILL does so with namespaces only.
 *
 * Requirements on the agent: stdout and stderr that the tasks' user may open for writing
 * (BASE in namespaces that root made, else the caller), or `> /dev/stderr` is refused where it is not PASS_PIPED; at
 * most LACKEY_QUEUE tasks queued at once (further packets, STOP among them, are left in the
 * socket until there is room); no name twice in the environments of ENV and RUN, and SHELL in neither;
 * MANTA_INPUT_FILE among RUN's, if stdin is an input that
 * is also linked there: in a namespace it is opened again by that name, because then the
 * descriptor belongs to a read-only mount, and no /proc/self/fd/0 makes it writable.
 */
#ifndef REMORA_LACKEY_H
#define REMORA_LACKEY_H

#include <signal.h>

#include "cores/coreplace.h"
#include "cores/corewatch.h"
#include "lackey/oomkills.h"
#include "lackey/outpipe.h"
#include "lackey/plain.h"
#include "lackey/prefork.h"
#include "lackey/queue.h"
#include "lackey/task.h"
#include "protocol/pass.h"

enum { LACKEY_QUEUE = 64 };

struct lackey {
    int sock; /* to the agent; blocking */
    /* A signalfd of SIGCHLD, and SIGTERM if the agent cannot rely on the kernel to end tasks; SIGXFSZ is blocked. */
    int signals;
    const struct coreplace *places; /* of core files */
    struct task_setting setting;
    struct corewatch watch;
    struct oomkills kills; /* by EVENTS' file; -1 at first */
    /* from here on: zero at first */
    char *scripts[PASS_SLOTS];
    struct plain plain[PASS_SLOTS]; /* each script's words */
    int piped[PASS_SLOTS];          /* PASS_PIPED of each */
    char *common;                   /* ENV's payload, and SHELL */
    size_t common_len;
    struct queue queue;
    struct queued *running;
    pid_t pid;
    struct prefork prefork; /* for tasks of the EXEC script */
    struct task_usage usage;
    struct outpipes outpipes; /* of the running task, if it has any */
    struct pass_done done;    /* of the running task, so far */
};

/* Serve until the agent is gone. Returns 0 then, or -1 if it breaks the protocol or a system call fails (reported on
 * stderr). */
int lackey_serve(struct lackey *lackey);

/*
 * lackey_begin - start the first process of a queued task: its script, as lackey_run_script does or by a bash that
 * waits for tasks.
 *
 * Its descriptors may be replaced: its input is opened again, its outputs are pipes. Returns the process id, or -1 with
 * errno.
 */
pid_t lackey_begin(struct lackey *lackey, struct queued *run);

/*
 * lackey_run_script - start the script of a slot with these variables, which have room for PLAIN_VARIABLES more.
 *
 * Returns the process id, or -1 with errno.
 */
pid_t lackey_run_script(const struct lackey *lackey, uint32_t slot, char **variables, const int fds[3]);

/* Drop everything that the agent sent, and its socket, before another agent is served. */
void lackey_forget(struct lackey *lackey);

#endif
