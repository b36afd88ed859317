/*
 * feed - move many sources into one pipe, without copying where the kernel allows it.
 *
 * The pipe is the standard input of a reducer: it is full most of the time, so a feed
 * mostly waits. It waits in the kernel, and two things wake it for good: the reader goes
 * away (FEED_CLOSED), or the descriptor `stop` becomes readable (FEED_STOPPED).
 *
 * A spliced page takes a slot of the pipe however few bytes it holds. So a small source
 * is not spliced: several are read into one buffer and written together.
 */
#ifndef REMORA_FEED_H
#define REMORA_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi begin */
enum feed_result {
    FEED_DONE,    /* everything that was wanted is in the pipe */
    FEED_EOF,     /* a source ended before its size */
    FEED_CLOSED,  /* the reader closed its end, which is not an error */
    FEED_STOPPED, /* `stop` became readable */
    FEED_ERROR    /* a source could not be read: errno says why */
};

/*
 * feed_pipe - make a pipe: fds[0] to read, fds[1] to write.
 *
 * Both are close-on-exec; only the writing end is non-blocking, so that a feed can be
 * stopped. The pipe holds `size` bytes, or less where the kernel does not allow that.
 * Returns how many, or -1 with errno (EMFILE, ENFILE).
 */
int feed_pipe(int *fds, int size);

/*
 * feed_splice - move up to `want` bytes of `src`, from `*offset`, into `pipe_wr`.
 *
 * Advances `*offset` by what went in. A source that cannot seek (socket, pipe) is read
 * where it stands; a socket that is silent for longer than its own SO_RCVTIMEO is an
 * error (ETIMEDOUT), however long its peer stays connected. Pages are shared with the
 * page cache: a file must not change until the reader has read them, which holds for blobs.
 * Raises no signal. `stop` may be -1.
 */
enum feed_result feed_splice(int src, int pipe_wr, off_t *offset, uint64_t want, int stop);

/*
 * feed_many - feed ranges of `n` sources, one after another: source i from starts[i] up to ends[i].
 *
 * Begins in srcs[*index] at *offset, and leaves both where it ended: after FEED_EOF and
 * FEED_ERROR the source srcs[*index] failed at *offset, and all before that is in the
 * pipe. After FEED_CLOSED and FEED_STOPPED the position is only near the end. After FEED_DONE
 * *index is n, and *offset 0. A source that cannot seek begins there by itself.
 */
enum feed_result feed_many(const int *srcs, const uint64_t *starts, const uint64_t *ends, size_t n, int pipe_wr,
                           int stop, size_t *index, off_t *offset);
/* cffi end */

#endif
