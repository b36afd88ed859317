/*
 * sandbox - become process 1 of an instance that tasks cannot leave.
 *
 * Three processes take part:
 *
 *   monitor   the caller. It stays outside, only waits, and ends with process 1's status.
 *             Killing it kills the instance: process 1 asks the kernel to die with it.
 *   builder   a child. It enters a mount namespace (without root: a user namespace
 *             first) and builds the root file system with its full capabilities there;
 *             then it clones process 1 beside itself, maps its users, and ends.
 *   process 1 a child of the monitor in its own user, PID, mount, IPC and UTS
 *             namespaces, below the builder's. So it cannot change mounts.
 *
 * Users: where the builder is root of the machine, users 0 ... 65535 of the instance are
 * `uid_base` ... `uid_base`+65535 outside, so a task is never root of the machine. Else
 * user 0 is the caller. The others are those of a user namespace that the caller passes
 * (`users`), made with subordinate ids; the builder enters it and makes another below it,
 * so that processes are counted per instance. Without it there are no others.
 */
#ifndef REMORA_SANDBOX_H
#define REMORA_SANDBOX_H

#include <sys/types.h>

#include "sandbox/rootfs.h"

enum { SANDBOX_USERS = 65536 };

struct sandbox_plan {
    struct rootfs_plan rootfs;
    uid_t uid_base;    /* 0: none given, so even root gets a user namespace of one user */
    const char *users; /* the file of a user namespace with users 0 ... 65535, 0 the caller, or NULL */
    /* That the users of the instance may have together, if root does not make it; 0: any number. */
    unsigned long long processes;
};

/*
 * sandbox_enter - return as process 1 of a new instance.
 *
 * Returns 0 in process 1, with `*self` its process id as outsiders see it; the monitor
 * never returns. Returns -1 in the caller if the kernel refused, with `why`; then
 * nothing has changed except that WORK/root may exist.
 */
int sandbox_enter(const struct sandbox_plan *plan, pid_t *self, struct reason *why);

/*
 * sandbox_drop - give up capabilities, for this process and its descendants.
 *
 * Process 1 of an instance (`inside`) keeps those that tasks need among themselves: chown,
 * dac_override, fowner, fsetid, kill, setgid, setuid. Any other lackey keeps none: its tasks
 * run as the caller's user, and even as root they must be subject to the modes of files.
 * Returns 0 or -1 with `why`.
 */
int sandbox_drop(int inside, struct reason *why);

/*
 * sandbox_leave_keyring - join a new, empty session keyring.
 *
 * The inherited one may hold the operator's keys, and is shared by all instances.
 * Returns 0, also where the kernel has no keys or refuses the call; else -1 with `why`.
 */
int sandbox_leave_keyring(struct reason *why);

/*
 * sandbox_harden - set no_new_privs, become untraceable, and filter system calls.
 *
 * Every lackey calls this after it dropped capabilities; callfilter.h has the filter. One that
 * is `inside` an instance also loses access to the abstract unix sockets of others (Linux
 * 6.12); for tasks of any other lackey this is done at each start (task.h). Returns the
 * isolation in force, of enum pass_holds, or -1 with `why`.
 */
int sandbox_harden(int inside, struct reason *why);

#endif
