/*
 * confine - keep tasks that have no namespaces to the machine's programs and their own directory.
 *
 * What rootfs.h does with mounts is done with Landlock here, as far as it goes: the same
 * directories of programs, the same parts of /sys and whatever is shown can be read, and
 * only WORK/root, where tasks start, and WORK/assets (a link there) be written; WORK/input can be read, also
 * by the owner of what is linked there. The machine's /tmp is neither: service and operator
 * keep things in it. In /dev/shm, where programs have their semaphores, tasks make and open
 * what they know the name of.
 */
#ifndef REMORA_CONFINE_H
#define REMORA_CONFINE_H

#include "landlock.h"
#include "pass.h"
#include "rootfs.h"

/* What namespaces hold by themselves. */
enum { CONFINE_NAMESPACES = PASS_HOLDS_FILES | PASS_HOLDS_SIGNALS };

/*
 * confine - make WORK/root and WORK/assets, and list in `files` what tasks may open; its `version` stays 0 where there is no Landlock.
 *
 * WORK becomes the working directory. Returns what will hold, of enum pass_holds, or -1 with `why`.
 */
int confine(const struct rootfs_plan *plan, struct landlock *files, struct reason *why);

/* WORK/root. */
const char *confine_directory(const char *work);

#endif
