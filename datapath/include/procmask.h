/*
 * procmask - files of the kernel below /proc that tasks do not see, or may not change.
 *
 * The kernel shows there, to any user, what belongs to others or to the whole machine: keys
 * and how many each user has, timers, modules, the memory itself. The two lists are here for
 * instances of both kinds: the lackey covers the files in those that it makes, and a
 * container's runtime is told of the same ones.
 */
#ifndef REMORA_PROCMASK_H
#define REMORA_PROCMASK_H

#include "reason.h"

/* cffi begin */
/* Absolute paths, NULL at the end; some of them no kernel has. */
const char *const *procmask_hidden(void);
const char *const *procmask_unchangeable(void);
/* cffi end */

/* Cover the ones and make the others read-only, in a mount namespace of one's own. Returns 0, or -1 with `why`. */
int procmask_apply(struct reason *why);

#endif
