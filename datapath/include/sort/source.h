/*
 * source - the lines of one sorted file, or of a sorted block, in turn.
 *
 * A line ends with the ordering's end, which follows it in memory, also where a file's
 * last line has none. The buffer of a file grows to its longest line.
 */
#ifndef REMORA_SOURCE_H
#define REMORA_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "sort/block.h"

enum source_result {
    SOURCE_LINE,
    SOURCE_END,
    SOURCE_READ,     /* errno says why */
    SOURCE_LONG,     /* a line is longer than LINE_MAX_BYTES */
    SOURCE_MEMORY,   /* there is no memory for a line */
    SOURCE_DISORDER, /* a line comes before the one before it (of a strict merge) */
    SOURCE_OUTSIDE   /* a line is not in the range that is merged */
};

struct source {
    const struct block *block; /* NULL: a file */
    size_t entry;              /* the next one of the block */

    int fd;
    char end;
    int ended;
    char *buffer;
    size_t room;
    size_t start; /* of the text that was not returned yet */
    size_t have;
    uint64_t offset; /* of the latest line in the file */
    uint64_t next;   /* of the one after it */
    uint64_t left;   /* bytes of the file that may still be read */
    uint64_t lines;  /* so many were returned */

    int keeps;   /* the line before the latest stays in the buffer, too */
    size_t line; /* where the latest is there, */
    size_t len;
    size_t before; /* and the one before it */
    size_t before_len;
    uint32_t dictionary; /* of a join: its number, from 1; 0: it is none */
};

/* source_open - read `fd`, whose lines end in `end`, through a buffer of `room` bytes. Returns 0, or -1 without memory. */
int source_open(struct source *source, int fd, char end, size_t room);

/* source_of_block - the lines of a block that is sorted. Needs no source_close. */
void source_of_block(struct source *source, const struct block *block);

/* source_next - the next line; valid until the next call. BLOCK_PAD bytes after its end can be read. */
enum source_result source_next(struct source *source, struct span *line);

/* source_range - read only the bytes from `start` to `end`, where lines begin; before the first line. */
void source_range(struct source *source, uint64_t start, uint64_t end);

/* source_before - the line before the latest one, or after SOURCE_END the last one, if the source `keeps` it. */
static inline struct span source_before(const struct source *source)
{
    return (struct span){source->buffer + source->before, source->before_len};
}

/* source_close - free the buffer; the caller closes the descriptor. */
void source_close(struct source *source);

#endif
