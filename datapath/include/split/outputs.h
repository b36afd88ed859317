/*
 * outputs - an output buffer per reducer, written when it is full.
 *
 * Short output is written by the caller's thread at the end. The first buffer that fills
 * up starts a writer thread (writer.h), which writes from then on.
 */
#ifndef REMORA_OUTPUTS_H
#define REMORA_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "split/split.h"
#include "streams/writer.h"

enum { OUTPUTS_PAD = 64 }; /* bytes after a buffer that a copy may touch */

struct output {
    int fd;
    char *buffer;
    size_t used; /* always less than `room` */
};

struct outputs {
    size_t room;
    uint32_t n;
    struct writer *writer; /* NULL until a buffer was full */
    struct output of[SPLIT_REDUCERS];
    int error;       /* errno of the first write that failed, */
    uint32_t failed; /* and its reducer */
};

/* outputs_init - make buffers for `n` descriptors. Returns 0, or -1 if there is no
 * memory; outputs_end frees in both cases. */
int outputs_init(struct outputs *outputs, const int *fds, uint32_t n);

/* outputs_put_long - outputs_put for data that does not fit into the buffer: a piece at a time. */
int outputs_put_long(struct outputs *outputs, uint32_t i, const char *data, size_t len);

/* outputs_flush - write the contents of the buffers. Returns 0, or -1. */
int outputs_flush(struct outputs *outputs);

/* outputs_end - wait for pending writes, free all memory. Returns 0, or -1 with `error` and `failed`. */
int outputs_end(struct outputs *outputs);

/* Copies whole strides: both sides have a pad, so that the exact length does not matter. */
static inline void outputs_copy(char *to, const char *from, size_t len)
{
    size_t i = 0;

    do
        memcpy(to + i, from + i, OUTPUTS_PAD);
    while ((i += OUTPUTS_PAD) < len);
}

/*
 * outputs_put - append `len` bytes; `data` may be read up to OUTPUTS_PAD beyond its end.
 *
 * Returns 0, or -1 after a write has failed. Afterwards there is room for one more byte.
 */
static inline int outputs_put(struct outputs *outputs, uint32_t i, const char *data, size_t len)
{
    struct output *output = &outputs->of[i];

    if (len >= outputs->room - output->used)
        return outputs_put_long(outputs, i, data, len);
    outputs_copy(output->buffer + output->used, data, len);
    output->used += len;
    return 0;
}

/* outputs_put_line - the same, with LF after it. */
static inline int outputs_put_line(struct outputs *outputs, uint32_t i, const char *line, size_t len)
{
    struct output *output = &outputs->of[i];

    if (outputs_put(outputs, i, line, len) < 0)
        return -1;
    output->buffer[output->used++] = '\n';
    return 0;
}

#endif
