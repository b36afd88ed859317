/*
 * removal - remove the directory that an instance leaves.
 *
 * An instance leaves some dozens of directories, most of them empty, and whatever its tasks
 * wrote. They are removed in one call, so that the agent's other threads go on meanwhile. Links
 * are removed, never followed, and another file system that is mounted there is not entered.
 */
#ifndef REMORA_REMOVAL_H
#define REMORA_REMOVAL_H

/* Directories inside of each other: one descriptor each. */
enum { REMOVAL_DEPTH = 64 };

/* cffi begin */
/*
 * removal_tree - remove the directory `path` with all that is below it.
 *
 * Returns 0, also if there is none, or -1 with the errno of what could not be removed; then some
 * of it is left: ELOOP (deeper than REMOVAL_DEPTH), EXDEV (another file system), EACCES,
 * ENOTDIR (a file or a link) or another.
 */
int removal_tree(const char *path);
/* cffi end */

#endif
