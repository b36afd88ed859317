#include "streams/reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "streams/move.h"
#include "text/lines.h"

enum { ROOM = 256 * 1024 };

int reader_open(struct reader *reader, int fd)
{
    *reader = (struct reader){.fd = fd, .room = ROOM, .buffer = malloc(ROOM)};
    return reader->buffer ? 0 : -1;
}

/* Move the rest to the front, or enlarge the buffer if one line fills it. */
static int make_room(struct reader *reader)
{
    char *larger;

    reader->have -= reader->start;
    memmove(reader->buffer, reader->buffer + reader->start, reader->have);
    reader->start = 0;
    if (reader->have < reader->room)
        return 0;
    if (!(larger = realloc(reader->buffer, 2 * reader->room))) {
        errno = ENOMEM;
        return -1;
    }
    reader->buffer = larger;
    reader->room *= 2;
    return 0;
}

static int fill(struct reader *reader)
{
    if (make_room(reader) < 0)
        return -1;
    for (;;) {
        ssize_t got = read(reader->fd, reader->buffer + reader->have, reader->room - reader->have);

        if (got >= 0) {
            reader->have += (size_t)got;
            reader->ended = got == 0;
            return 0;
        }
        if (errno == EAGAIN)
            move_wait(reader->fd, POLLIN, -1);
        else if (errno != EINTR)
            return -1;
    }
}

int reader_next(struct reader *reader, struct span *line)
{
    for (;;) {
        const char *text = reader->buffer + reader->start;
        size_t len = reader->have - reader->start;
        size_t end = reader->seen + lines_end(text + reader->seen, len - reader->seen);
        size_t next = lines_next(text, end, len, reader->ended);

        if (next > 0) {
            *line = (struct span){text, end};
            reader->start += next;
            reader->seen = 0;
            return 1;
        }
        if (reader->ended)
            return 0;
        reader->seen = end;
        if (fill(reader) < 0)
            return -1;
    }
}

void reader_close(struct reader *reader)
{
    free(reader->buffer);
}
