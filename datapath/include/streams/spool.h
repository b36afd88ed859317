/*
 * spool - copy a task's output into a blob.
 *
 * A tool in an instance is granted a descriptor of a fresh blob and copies its standard
 * input into it. Mostly that is a pipe, whose pages go to the file without passing
 * through the tool. A failure has one of three kinds: the disk is full (the operator's
 * problem), the output is larger than allowed (the user's), or anything else. The
 * result says which.
 */
#ifndef REMORA_SPOOL_H
#define REMORA_SPOOL_H

#include <stddef.h>
#include <stdint.h>

/* cffi begin */
enum spool_result {
    SPOOL_DONE,  /* the source ended and all of it is in the destination */
    SPOOL_FULL,  /* no space left on the device (ENOSPC) */
    SPOOL_QUOTA, /* over a quota or the file size limit (EDQUOT, EFBIG) */
    SPOOL_ERROR  /* anything else: errno says what */
};

/*
 * spool_move - copy `src` into `dst` until `src` ends.
 *
 * Both are used at their current positions. `*moved` becomes the number of copied
 * bytes, also after a failure. Raises no signal. errno is set unless the result is
 * SPOOL_DONE.
 */
enum spool_result spool_move(int src, int dst, uint64_t *moved);

/*
 * spool_tee - the same, and a copy of everything to `out`.
 *
 * A reader of `out` that stops early loses its copy only: `dst` still gets all.
 */
enum spool_result spool_tee(int src, int dst, int out, uint64_t *moved);

/* spool_result_of - the result for an errno of writing: anything but SPOOL_DONE. */
enum spool_result spool_result_of(int error);

/* spool_why - the result in words, as the end of a sentence; `error` is errno for SPOOL_ERROR. */
const char *spool_why(enum spool_result result, int error);

/*
 * spool_syncfs - flush the whole file system of `fd` to its disk.
 *
 * Returns 0, or -1 with errno: EIO, ENOSPC or EDQUOT also when writing back failed
 * since `fd` was opened or last asked (Linux 5.8 and later).
 */
int spool_syncfs(int fd);

/*
 * spool_write_back - have the disk begin with `len` bytes of a file from `start` on, so that a flush finds little left.
 *
 * Waits for nothing but room in the disk's queue, and promises nothing. Returns 0, or -1 with errno.
 */
int spool_write_back(int fd, uint64_t start, uint64_t len);
/* cffi end */

#endif
