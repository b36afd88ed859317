#include "streams/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "streams/move.h"
#include "streams/quiet.h"

enum {
    GATHER = 64 * 1024, /* bytes of small sources that are written together */
    /* Measured with 10,000 files: splicing is faster from 2000 bytes on. Below, a
     * pipe full of spliced pages would hold little. */
    SMALL = 1024
};

struct feed {
    const int *srcs;
    const uint64_t *starts;
    const uint64_t *ends;
    size_t n;
    int pipe_wr;
    int stop;
    size_t index;
    off_t offset;
};

int feed_pipe(int *fds, int size)
{
    int flags;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    flags = fcntl(fds[1], F_GETFL);
    if (flags < 0 || fcntl(fds[1], F_SETFL, flags | O_NONBLOCK) < 0) {
        int saved = errno;

        close(fds[0]);
        close(fds[1]);
        errno = saved;
        return -1;
    }
    /* Unprivileged users have a limit for one pipe and another for all their pipes: use what these allow. */
    while (fcntl(fds[1], F_SETPIPE_SZ, size) < 0 && size > 4096)
        size /= 2;
    return fcntl(fds[1], F_GETPIPE_SZ);
}

static enum feed_result result_of(int error)
{
    switch (error) {
    case EPIPE:
        return FEED_CLOSED;
    case ECANCELED:
        return FEED_STOPPED;
    default:
        return FEED_ERROR;
    }
}

/* The time in ms for which a source may be silent: a socket's timeout, and -1 (for ever) for any other. */
static int patience_of(int src)
{
    struct timeval most = {0};
    socklen_t size = sizeof most;

    if (getsockopt(src, SOL_SOCKET, SO_RCVTIMEO, &most, &size) < 0 || (most.tv_sec == 0 && most.tv_usec == 0))
        return -1;
    return (int)(most.tv_sec * 1000 + most.tv_usec / 1000);
}

static enum feed_result splice_all(int src, int pipe_wr, off_t *offset, uint64_t want, int stop)
{
    int seekable = lseek(src, 0, SEEK_CUR) >= 0;
    int patience = seekable ? -1 : patience_of(src);
    struct move move = {.src = src, .dst = pipe_wr, .stop = stop, .by = MOVE_SPLICE};

    move.offset = seekable ? offset : NULL;
    while (want > 0) {
        ssize_t n;

        /* A read from a socket blocks and `stop` cannot wake it, so poll first. */
        if (!seekable && move_wait_for(src, POLLIN, stop, patience) < 0)
            return result_of(errno);
        n = move_some(&move, want);
        if (n < 0)
            return result_of(errno);
        if (n == 0)
            return FEED_EOF;
        want -= (uint64_t)n;
        if (!seekable)
            *offset += n;
    }
    return FEED_DONE;
}

static uint64_t rest_of(const struct feed *feed)
{
    uint64_t end = feed->ends[feed->index];

    return end > (uint64_t)feed->offset ? end - (uint64_t)feed->offset : 0;
}

static void next_source(struct feed *feed)
{
    feed->index++;
    feed->offset = feed->index < feed->n ? (off_t)feed->starts[feed->index] : 0;
}

/* Read the rest of the current source into `at`; FEED_DONE, FEED_EOF or FEED_ERROR. */
static enum feed_result read_rest(struct feed *feed, char *at, size_t *used)
{
    size_t rest = rest_of(feed);
    int src = feed->srcs[feed->index];

    while (rest > 0) {
        ssize_t got = pread(src, at + *used, rest, feed->offset);

        if (got < 0 && errno == ESPIPE)
            got = move_wait_for(src, POLLIN, feed->stop, patience_of(src)) < 0 ? -1 : read(src, at + *used, rest);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return result_of(errno);
        if (got == 0)
            return FEED_EOF;
        *used += (size_t)got;
        rest -= (size_t)got;
        feed->offset += got;
    }
    return FEED_DONE;
}

/* Feed as many small sources as fit into the buffer, by one write. Bytes read
 * before a source failed are written too. */
static enum feed_result gather(struct feed *feed)
{
    char buffer[GATHER];
    size_t used = 0;
    enum feed_result result = FEED_DONE;

    while (feed->index < feed->n && rest_of(feed) <= SMALL && rest_of(feed) <= sizeof buffer - used) {
        result = read_rest(feed, buffer, &used);
        if (result != FEED_DONE)
            break;
        next_source(feed);
    }
    int failed = errno;
    if (used > 0 && move_write(feed->pipe_wr, buffer, used, feed->stop) < 0)
        return result_of(errno);
    errno = failed;
    return result;
}

static enum feed_result feed_rest(struct feed *feed)
{
    enum feed_result result = FEED_DONE;

    while (feed->index < feed->n && result == FEED_DONE) {
        if (rest_of(feed) <= SMALL) {
            result = gather(feed);
            continue;
        }
        result = splice_all(feed->srcs[feed->index], feed->pipe_wr, &feed->offset, rest_of(feed), feed->stop);
        if (result == FEED_DONE)
            next_source(feed);
    }
    return result;
}

enum feed_result feed_many(const int *srcs, const uint64_t *starts, const uint64_t *ends, size_t n, int pipe_wr,
                           int stop, size_t *index, off_t *offset)
{
    struct feed feed = {srcs, starts, ends, n, pipe_wr, stop, *index, *offset};
    struct quiet quiet;
    enum feed_result result;

    quiet_begin(&quiet);
    result = feed_rest(&feed);
    quiet_end(&quiet);
    *index = feed.index;
    *offset = feed.offset;
    return result;
}

enum feed_result feed_splice(int src, int pipe_wr, off_t *offset, uint64_t want, int stop)
{
    struct quiet quiet;
    enum feed_result result;

    quiet_begin(&quiet);
    result = splice_all(src, pipe_wr, offset, want, stop);
    quiet_end(&quiet);
    return result;
}
