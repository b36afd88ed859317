#include "streams/move.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* Bytes of one read in the fallback. Larger copies leave the nearest caches and are no faster. */
enum { BUFFER = 128 * 1024 };

int move_wait(int fd, short events, int stop)
{
    return move_wait_for(fd, events, stop, -1);
}

int move_wait_for(int fd, short events, int stop, int ms)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = stop, .events = POLLIN}};
    int ready;

    while ((ready = poll(fds, stop < 0 ? 1 : 2, ms)) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return -1;
    if (ready > 0 && fds[1].revents == 0)
        return 0;
    errno = ready > 0 ? ECANCELED : ETIMEDOUT;
    return -1;
}

int move_write(int dst, const void *data, size_t len, int stop)
{
    const char *at = data;

    while (len > 0) {
        ssize_t put = write(dst, at, len);

        if (put >= 0) {
            at += put;
            len -= (size_t)put;
        } else if (errno == EAGAIN) {
            if (move_wait(dst, POLLOUT, stop) < 0)
                return -1;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static ssize_t copy(const struct move *move, size_t want)
{
    char buffer[BUFFER];
    size_t most = want < sizeof buffer ? want : sizeof buffer;
    ssize_t got = move->offset ? pread(move->src, buffer, most, *move->offset) : read(move->src, buffer, most);

    if (got <= 0)
        return got;
    if (move_write(move->dst, buffer, (size_t)got, move->stop) < 0)
        return -1;
    if (move->offset)
        *move->offset += got;
    return got;
}

static ssize_t once(const struct move *move, size_t want)
{
    loff_t at = move->offset ? *move->offset : 0;
    loff_t *from = move->offset ? &at : NULL;
    ssize_t moved;

    if (move->by == MOVE_COPY)
        return copy(move, want);
    if (move->by == MOVE_RANGE)
        moved = copy_file_range(move->src, from, move->dst, NULL, want, 0);
    else
        moved = splice(move->src, from, move->dst, NULL, want, SPLICE_F_MOVE);
    if (moved > 0 && from)
        *move->offset = at;
    return moved;
}

/* Whether an error means that this way does not work for the two descriptors, rather than that the move failed. */
static int refused(int error)
{
    return error == EINVAL || error == EXDEV || error == ENOSYS || error == EOPNOTSUPP || error == EBADF ||
           error == ESPIPE || error == EPERM;
}

ssize_t move_some(struct move *move, size_t want)
{
    for (;;) {
        ssize_t moved = once(move, want);

        if (moved > 0 || (moved == 0 && move->by != MOVE_RANGE))
            return moved;
        /* Some file systems report files as empty here although they can be read (/proc). */
        if (moved == 0 || (move->by != MOVE_COPY && refused(errno)))
            move->by++;
        else if (errno == EAGAIN) {
            if (move_wait(move->dst, POLLOUT, move->stop) < 0 || move_wait(move->src, POLLIN, move->stop) < 0)
                return -1;
        } else if (errno != EINTR)
            return -1;
    }
}
