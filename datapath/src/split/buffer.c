#include "split/buffer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "streams/move.h"

int buffer_open(struct buffer *buffer, int fd, size_t room, size_t pad)
{
    *buffer = (struct buffer){.fd = fd, .room = room, .pad = pad, .text = malloc(room + pad)};
    return buffer->text ? 0 : -1;
}

int buffer_fill(struct buffer *buffer)
{
    while (!buffer->ended && buffer->have < buffer->room) {
        ssize_t got = read(buffer->fd, buffer->text + buffer->have, buffer->room - buffer->have);

        if (got > 0)
            buffer->have += (size_t)got;
        else if (got == 0)
            buffer->ended = 1;
        else if (errno == EAGAIN)
            move_wait(buffer->fd, POLLIN, -1);
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

void buffer_take(struct buffer *buffer, size_t taken)
{
    buffer->have -= taken;
    memmove(buffer->text, buffer->text + taken, buffer->have);
}

int buffer_grow(struct buffer *buffer)
{
    char *larger = realloc(buffer->text, 2 * buffer->room + buffer->pad);

    if (!larger)
        return -1;
    buffer->text = larger;
    buffer->room *= 2;
    return 0;
}

void buffer_close(struct buffer *buffer)
{
    free(buffer->text);
}
