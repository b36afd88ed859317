#include "streams/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "streams/move.h"
#include "streams/quiet.h"

/* The most that is requested of the kernel at once; it returns as soon as it has moved the available bytes. */
enum { STRIDE = 16 * 1024 * 1024, TEE_BUFFER = 128 * 1024 };

enum spool_result spool_result_of(int error)
{
    switch (error) {
    case ENOSPC:
        return SPOOL_FULL;
    case EDQUOT:
    case EFBIG:
        return SPOOL_QUOTA;
    default:
        return SPOOL_ERROR;
    }
}

static enum spool_result pour(int src, int dst, uint64_t *moved)
{
    struct move move = {.src = src, .dst = dst, .stop = -1, .by = MOVE_RANGE};
    ssize_t n;

    while ((n = move_some(&move, STRIDE)) > 0)
        *moved += (uint64_t)n;
    return n == 0 ? SPOOL_DONE : spool_result_of(errno);
}

/* Move exactly the `len` bytes that are in the pipe `src`. */
static int drain(int src, int dst, size_t len)
{
    struct move move = {.src = src, .dst = dst, .stop = -1, .by = MOVE_SPLICE};

    while (len > 0) {
        ssize_t n = move_some(&move, len);

        if (n <= 0)
            return -1;
        len -= (size_t)n;
    }
    return 0;
}

/* tee(2): the pages of one pipe appear in another as well. Returns bytes, 0 at the end, -1 with errno. */
static ssize_t tee_pages(int src, int dst, int out)
{
    ssize_t n;

    while ((n = tee(src, out, STRIDE, 0)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN && (move_wait(out, POLLOUT, -1) < 0 || move_wait(src, POLLIN, -1) < 0))
            return -1;
    if (n > 0 && drain(src, dst, (size_t)n) < 0)
        return -1;
    return n;
}

/* The same for descriptors that are not pipes. `*open` is cleared when the reader of `out` has gone. */
static ssize_t tee_bytes(int src, int dst, int out, int *open)
{
    char buffer[TEE_BUFFER];
    ssize_t n;

    while ((n = read(src, buffer, sizeof buffer)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN && move_wait(src, POLLIN, -1) < 0)
            return -1;
    if (n <= 0)
        return n;
    if (move_write(dst, buffer, (size_t)n, -1) < 0)
        return -1;
    if (move_write(out, buffer, (size_t)n, -1) < 0) {
        if (errno != EPIPE)
            return -1;
        *open = 0;
    }
    return n;
}

static enum spool_result fork_stream(int src, int dst, int out, uint64_t *moved)
{
    int pipes = 1;
    int open = 1;

    while (open) {
        ssize_t n = pipes ? tee_pages(src, dst, out) : tee_bytes(src, dst, out, &open);

        if (n == 0)
            return SPOOL_DONE;
        if (n > 0)
            *moved += (uint64_t)n;
        else if (pipes && errno == EINVAL)
            pipes = 0;
        else if (pipes && errno == EPIPE)
            open = 0;
        else
            return spool_result_of(errno);
    }
    return pour(src, dst, moved);
}

enum spool_result spool_move(int src, int dst, uint64_t *moved)
{
    struct quiet quiet;
    enum spool_result result;

    *moved = 0;
    quiet_begin(&quiet);
    result = pour(src, dst, moved);
    quiet_end(&quiet);
    return result;
}

enum spool_result spool_tee(int src, int dst, int out, uint64_t *moved)
{
    struct quiet quiet;
    enum spool_result result;

    *moved = 0;
    quiet_begin(&quiet);
    result = fork_stream(src, dst, out, moved);
    quiet_end(&quiet);
    return result;
}

const char *spool_why(enum spool_result result, int error)
{
    switch (result) {
    case SPOOL_DONE:
        return "done";
    case SPOOL_FULL:
        return "no space left on the disk of this node";
    case SPOOL_QUOTA:
        return "the output is larger than this task may write";
    default:
        return strerror(error);
    }
}

int spool_syncfs(int fd)
{
    return syncfs(fd);
}

int spool_write_back(int fd, uint64_t start, uint64_t len)
{
    return sync_file_range(fd, (off_t)start, (off_t)len, SYNC_FILE_RANGE_WRITE);
}
