/*
 * procmask - hide files of the kernel below /proc from tasks, or make them read-only.
 *
 * There the kernel shows every user data of other users or of the whole machine: keys and
 * how many each user has, timers, modules, the memory itself. The two lists serve instances
 * of both kinds: the lackey covers the files in instances that it makes, and the spec for a
 * container's runtime has the same lists.
 */
#ifndef REMORA_PROCMASK_H
#define REMORA_PROCMASK_H

#include "sandbox/reason.h"

/* cffi begin */
/* Absolute paths, NULL at the end; not every kernel has all of them. */
const char *const *procmask_hidden(void);
const char *const *procmask_unchangeable(void);
/* cffi end */

/* Cover the hidden ones and make the others read-only, in a private mount namespace. Returns 0, or -1 with `why`. */
int procmask_apply(struct reason *why);

#endif
