/*
 * sandbox - become process 1 of an instance that tasks cannot leave.
 *
 * Three processes take part:
 *
 *   monitor   the one that called. It stays outside, does nothing but wait, and ends
 *             with process 1's status. Killing it kills the instance: process 1 asks the
 *             kernel to die with it.
 *   builder   a child. It enters a mount namespace (without root: a user namespace
 *             first) and builds the root file system with all the power it has there;
 *             then it clones process 1 beside itself, maps its users, and is gone.
 *   process 1 a child of the monitor in its own user, PID, mount, IPC and UTS
 *             namespaces, below the builder's. So mounts are not its to change.
 *
 * Users: where the builder is root of the machine, users 0 ... 65535 of the instance are
 * `uid_base` ... `uid_base`+65535 outside, so a task is never root of anything. Else user
 * 0 is the caller. The others are those of a user namespace that the caller has (`users`),
 * made with subordinate ids; the builder enters it and makes another below it, so that the
 * processes of an instance are counted by itself. Without it there are no others.
 */
#ifndef REMORA_SANDBOX_H
#define REMORA_SANDBOX_H

#include <sys/types.h>

#include "rootfs.h"

enum { SANDBOX_USERS = 65536 };

struct sandbox_plan {
    struct rootfs_plan rootfs;
    uid_t uid_base;    /* 0: none given, so even root gets a user namespace of one user */
    const char *users; /* the file of a user namespace with users 0 ... 65535, 0 the caller, or NULL */
    unsigned long long processes; /* that the users of the instance may have together, if root does not make it; 0: any number */
};

/*
 * sandbox_enter - return as process 1 of a new instance.
 *
 * Returns 0 in process 1, with `*self` its process id as outsiders see it; the monitor
 * never returns. Returns -1 in the caller if the kernel refused, with `why`; nothing
 * was changed then but that WORK/root may exist.
 */
int sandbox_enter(const struct sandbox_plan *plan, pid_t *self, struct reason *why);

/*
 * sandbox_drop - give up capabilities, for this process and all it will start.
 *
 * Process 1 of an instance (`inside`) keeps what tasks need among themselves: chown,
 * dac_override, fowner, fsetid, kill, setgid, setuid. Any other lackey keeps none: its tasks
 * are the caller's user, and as root they shall at least meet the mode of a file. Returns 0
 * or -1 with `why`.
 */
int sandbox_drop(int inside, struct reason *why);

/*
 * sandbox_leave_keyring - have a session keyring of one's own, with nothing in it.
 *
 * What the service was started with may hold the operator's keys, and is one for all instances.
 * Returns 0, also where the kernel has no keys or refuses the call; else -1 with `why`.
 */
int sandbox_leave_keyring(struct reason *why);

/*
 * sandbox_harden - gain nothing by exec any more (no_new_privs), be untraceable, and filter system calls.
 *
 * For every lackey, after it dropped capabilities; what it filters is in callfilter.h. One that
 * is `inside` an instance also loses the abstract unix sockets of others (Linux 6.12); for the
 * tasks of any other this is done at each start (task.h). Returns what now holds, of enum
 * pass_holds, or -1 with `why`.
 */
int sandbox_harden(int inside, struct reason *why);

#endif
