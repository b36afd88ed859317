#include "streams/slice.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

static ssize_t read_block(int fd, char *block, off_t from, off_t size)
{
    size_t want = size - from < BLOCK ? (size_t)(size - from) : BLOCK;
    ssize_t got;

    do
        got = pread(fd, block, want, from);
    while (got < 0 && errno == EINTR);
    if (got == 0) {
        errno = ENODATA;
        return -1;
    }
    return got;
}

off_t slice_skip(int fd, off_t from, off_t size, int end, uint64_t lines)
{
    char block[BLOCK];

    while (lines > 0 && from < size) {
        ssize_t got = read_block(fd, block, from, size);
        const char *at = block, *stop = block + got;

        if (got < 0)
            return -1;
        while (lines > 0 && (at = memchr(at, end, (size_t)(stop - at))) != NULL) {
            at++;
            lines--;
        }
        from += at == NULL ? got : at - block;
    }
    return from;
}

int64_t slice_count(int fd, off_t from, off_t to, int end)
{
    char block[BLOCK];
    int64_t lines = 0;
    int open = 0; /* whether a line has begun that is not ended yet */

    while (from < to) {
        ssize_t got = read_block(fd, block, from, to);
        const char *at = block, *stop;

        if (got < 0)
            return -1;
        stop = block + got;
        for (const char *found; (found = memchr(at, end, (size_t)(stop - at))) != NULL; at = found + 1)
            lines++;
        open = at < stop;
        from += got;
    }
    return lines + open;
}

off_t slice_begin(int fd, off_t at, off_t size, int end, uint64_t longest)
{
    char block[BLOCK];
    off_t from = at - 1;

    if (at <= 0)
        return 0;
    while (from < size - 1) {
        ssize_t got = read_block(fd, block, from, size);
        const char *found;

        if (got < 0)
            return -1;
        found = memchr(block, end, (size_t)got);
        if (found != NULL)
            return from + (found - block) + 1;
        from += got;
        if ((uint64_t)(from - at) > longest) {
            errno = EOVERFLOW;
            return -1;
        }
    }
    return size;
}

off_t slice_before(int fd, off_t from, off_t at, int end)
{
    char block[BLOCK];

    while (at > from) {
        off_t first = at - from > BLOCK ? at - BLOCK : from;
        ssize_t got = read_block(fd, block, first, at);
        const char *found;

        if (got < 0)
            return -1;
        if (first + got < at) { /* the rest of the block comes first */
            errno = EIO;
            return -1;
        }
        if ((found = memrchr(block, end, (size_t)got)) != NULL)
            return first + (found - block) + 1;
        at = first;
    }
    return from;
}

/* Where the line that begins before `at` ends, at `to` at the latest. Returns -1 with errno. */
static off_t line_end(int fd, off_t at, off_t to, int end)
{
    char block[BLOCK];

    while (at < to) {
        ssize_t got = read_block(fd, block, at, to);
        const char *found;

        if (got < 0)
            return -1;
        if ((found = memchr(block, end, (size_t)got)) != NULL)
            return at + (found - block);
        at += got;
    }
    return to;
}

off_t slice_long(int fd, off_t from, off_t to, int end, uint64_t longest)
{
    for (off_t at = from + (off_t)longest; at < to; at += (off_t)longest) {
        off_t begin = slice_before(fd, from, at, end);
        off_t limit = begin + (off_t)longest + 1, stop;

        if (begin < 0)
            return -1;
        if ((stop = line_end(fd, at, limit < to ? limit : to, end)) < 0)
            return -1;
        if (stop - begin > (off_t)longest)
            return begin;
    }
    return to;
}
