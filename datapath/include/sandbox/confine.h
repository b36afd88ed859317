/*
 * confine - restrict tasks without namespaces to the machine's programs and their own directory.
 *
 * Landlock replaces the mounts of rootfs.h here, as far as it can: the same directories of
 * programs, the same parts of /sys and all shown files can be read, and only WORK/root, where
 * tasks start, and WORK/assets (a link there) can be written; WORK/input can be read, but not
 * written, even by the owner of the files that are linked there. The machine's /tmp can be
 * neither read nor written: service and operator keep files in it. In /dev/shm, where programs
 * have their semaphores, tasks can make files and open those whose names they know.
 */
#ifndef REMORA_CONFINE_H
#define REMORA_CONFINE_H

#include "protocol/pass.h"
#include "sandbox/landlock.h"
#include "sandbox/rootfs.h"

/* The parts of enum pass_holds that namespaces imply. */
enum { CONFINE_NAMESPACES = PASS_HOLDS_FILES | PASS_HOLDS_SIGNALS };

/*
 * confine - make WORK/root and WORK/assets, and list in `files` what tasks may open; its `version` stays 0 where
 * there is no Landlock.
 *
 * WORK becomes the working directory. Returns what will hold, of enum pass_holds, or -1 with `why`.
 */
int confine(const struct rootfs_plan *plan, struct landlock *files, struct reason *why);

/* WORK/root. */
const char *confine_directory(const char *work);

#endif
