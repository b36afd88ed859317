#include "lackey/outpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "streams/move.h"

/* The size of a pipe; its owner may write into it, and so may users that the task becomes. */
enum { STRIDE = 64 * 1024, WRITABLE = 0622 };

static int fail(const int ends[2])
{
    int error = errno;

    close(ends[0]);
    close(ends[1]);
    errno = error;
    return -1;
}

/* Make a pipe that the task may open by name. Returns 0, or -1 with errno. */
static int make(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    if (fchmod(ends[1], WRITABLE) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return fail(ends);
    return 0;
}

static void close_one(struct outpipe *pipe)
{
    if (pipe->reading >= 0) {
        close(pipe->reading);
        close(pipe->file);
    }
    pipe->reading = -1;
}

int outpipes_open(struct outpipes *pipes, int fds[2])
{
    int first[2], second[2];

    if (make(first) < 0)
        return -1;
    if (make(second) < 0)
        return fail(first);
    *pipes = (struct outpipes){.open = 1, .of = {{first[0], fds[0]}, {second[0], fds[1]}}};
    fds[0] = first[1];
    fds[1] = second[1];
    return 0;
}

/* Move some bytes. Returns their number, 0 at the end or if there are none, -1 if writing to the file failed. */
static ssize_t pour(struct outpipes *pipes, struct outpipe *pipe, size_t most)
{
    static char buffer[STRIDE];
    ssize_t got = read(pipe->reading, buffer, most < sizeof buffer ? most : sizeof buffer);

    if (got < 0)
        return 0; /* a reader of the task's own was faster */
    if (got == 0)
        close_one(pipe);
    else if (move_write(pipe->file, buffer, (size_t)got, -1) < 0) {
        pipes->error = pipes->error ? pipes->error : errno;
        return -1;
    }
    return got;
}

int outpipes_pour(struct outpipes *pipes, int which)
{
    return pour(pipes, &pipes->of[which], STRIDE) < 0 ? -1 : 0;
}

/* Move no more bytes than were there at first: another process may have the writing end, and continue. */
static void empty(struct outpipes *pipes, struct outpipe *pipe)
{
    int left = 0;
    ssize_t moved = 1;

    if (pipe->reading >= 0 && ioctl(pipe->reading, FIONREAD, &left) < 0)
        pipes->error = errno;
    while (left > 0 && moved > 0) {
        moved = pour(pipes, pipe, (size_t)left);
        left -= (int)moved;
    }
}

int outpipes_close(struct outpipes *pipes)
{
    for (int i = 0; i < 2 && pipes->open; i++) {
        if (!pipes->error)
            empty(pipes, &pipes->of[i]);
        close_one(&pipes->of[i]);
    }
    int error = pipes->error;
    *pipes = (struct outpipes){0};
    return error;
}
