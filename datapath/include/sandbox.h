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
 * 0 is the caller and there is no other.
 */
#ifndef REMORA_SANDBOX_H
#define REMORA_SANDBOX_H

#include <sys/types.h>

#include "rootfs.h"

enum { SANDBOX_USERS = 65536 };

struct sandbox_plan {
    struct rootfs_plan rootfs;
    uid_t uid_base; /* 0: none given, so even root gets a user namespace of one user */
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
 * sandbox_harden - gain nothing by exec any more (no_new_privs), and be untraceable.
 *
 * For every lackey, after it dropped capabilities. One that is not `inside` an instance also
 * loses kill(-1), which would reach all processes of its user; one that is loses the abstract
 * unix sockets of others (Linux 6.12). Returns 0 or -1 with `why`.
 */
int sandbox_harden(int inside, struct reason *why);

#endif
