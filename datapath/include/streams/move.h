/*
 * move - move bytes from one descriptor to another, in the cheapest way that the two allow.
 *
 * The kernel has three ways, each cheaper but more restricted than the next:
 * copy_file_range between two files, splice where one end is a pipe, and read and write
 * between any two. Only trying shows which of them a pair of descriptors allows. So a
 * move begins with the first and falls back to the next, for good, when the kernel
 * refuses.
 */
#ifndef REMORA_MOVE_H
#define REMORA_MOVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum move_by { MOVE_RANGE, MOVE_SPLICE, MOVE_COPY };

struct move {
    int src;
    int dst;
    int stop;      /* when this becomes readable, waiting ends with ECANCELED; -1: never */
    off_t *offset; /* read `src` from here and advance it; NULL: read where `src` stands */
    enum move_by by;
};

/*
 * move_some - move at least one and at most `want` bytes.
 *
 * Waits while the source has nothing or the destination is full, also for descriptors
 * that do not block (only these return at once when `stop` becomes readable). Returns
 * the bytes moved, 0 at the end of the source, or -1 with errno: ECANCELED, an error of
 * writing (EPIPE, ENOSPC, EDQUOT, EFBIG, ...), or one of reading. After -1 from
 * MOVE_COPY bytes that were read from a source without offset are lost. The caller has
 * called quiet_begin.
 */
ssize_t move_some(struct move *move, size_t want);

/* move_write - write all of `data`, waiting as above. Returns 0, or -1 with errno. */
int move_write(int dst, const void *data, size_t len, int stop);

/* move_wait - wait until `fd` has one of `events`, or an error. Returns 0, or -1 with errno ECANCELED. */
int move_wait(int fd, short events, int stop);

/* move_wait_for - the same, and ETIMEDOUT after `ms` (counted from the last signal); -1: for ever. */
int move_wait_for(int fd, short events, int stop, int ms);

#endif
