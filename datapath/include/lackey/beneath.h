/*
 * beneath - open files that a task left behind, without following links.
 *
 * A task may put a symbolic link, a FIFO or a device where a file is expected. A
 * process that opens such a path from outside must neither be led out of the directory
 * nor hang.
 */
#ifndef REMORA_BENEATH_H
#define REMORA_BENEATH_H

/* cffi begin */
/*
 * beneath_file - open a regular file for reading, below `directory` and through no link.
 *
 * Returns a close-on-exec descriptor, or -1 with errno: ENOENT, ELOOP (a link), EXDEV (leads
 * out), EINVAL (no regular file), or another of open(2).
 */
int beneath_file(int directory, const char *relative);
/* cffi end */

/* The same for a directory, as a mere place (O_PATH). */
int beneath_directory(int directory, const char *relative);

#endif
