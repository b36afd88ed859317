#include "split/outputs.h"

#include <errno.h>
#include <stdlib.h>

#include "streams/move.h"

enum {
    ALL = 1024 * 1024, /* shared among few reducers: stays in a core's own cache */
    ROOM_MAX = 256 * 1024,
    ROOM_MIN = 64 * 1024 /* with many reducers each still writes in pieces this large */
};

int outputs_init(struct outputs *outputs, const int *fds, uint32_t n)
{
    size_t share = ALL / n;

    outputs->n = n;
    outputs->room = share < ROOM_MIN ? ROOM_MIN : share > ROOM_MAX ? ROOM_MAX : share;
    for (uint32_t i = 0; i < n; i++) {
        outputs->of[i] = (struct output){.fd = fds[i], .buffer = malloc(outputs->room + OUTPUTS_PAD)};
        if (!outputs->of[i].buffer)
            return -1;
    }
    return 0;
}

static int write_here(struct outputs *outputs, uint32_t i)
{
    struct output *output = &outputs->of[i];
    size_t used = output->used;

    output->used = 0;
    if (move_write(output->fd, output->buffer, used, -1) == 0)
        return 0;
    outputs->error = errno;
    outputs->failed = i;
    return -1;
}

static int spill(struct outputs *outputs, uint32_t i)
{
    struct output *output = &outputs->of[i];
    size_t used = output->used;

    if (!outputs->writer)
        outputs->writer = writer_new(outputs->room + OUTPUTS_PAD);
    if (!outputs->writer)
        return write_here(outputs, i);
    output->used = 0;
    return writer_give(outputs->writer, output->fd, i, &output->buffer, used);
}

int outputs_put_long(struct outputs *outputs, uint32_t i, const char *data, size_t len)
{
    struct output *output = &outputs->of[i];

    while (len >= outputs->room - output->used) {
        size_t piece = outputs->room - output->used;

        outputs_copy(output->buffer + output->used, data, piece);
        output->used += piece;
        data += piece;
        len -= piece;
        if (spill(outputs, i) < 0)
            return -1;
    }
    return outputs_put(outputs, i, data, len);
}

int outputs_flush(struct outputs *outputs)
{
    for (uint32_t i = 0; i < outputs->n; i++)
        if (outputs->of[i].used > 0 && (outputs->writer ? spill(outputs, i) : write_here(outputs, i)) < 0)
            return -1;
    return 0;
}

int outputs_end(struct outputs *outputs)
{
    if (outputs->writer)
        outputs->error = writer_end(outputs->writer, &outputs->failed);
    for (uint32_t i = 0; i < outputs->n; i++)
        free(outputs->of[i].buffer);
    return outputs->error ? -1 : 0;
}
