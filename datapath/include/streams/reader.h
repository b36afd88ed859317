/*
 * reader - read the lines of a descriptor, one after another.
 *
 * Lines end as lines.h says. The buffer grows to the longest line, and never shrinks.
 *
 *     struct reader reader;
 *     struct span line;
 *     if (reader_open(&reader, fd) < 0) ...
 *     while ((got = reader_next(&reader, &line)) > 0) ...
 *     reader_close(&reader);
 */
#ifndef REMORA_READER_H
#define REMORA_READER_H

#include <stddef.h>

#include "text/span.h"

struct reader {
    int fd;
    int ended;
    char *buffer;
    size_t room;
    size_t start; /* of the text that was not returned yet */
    size_t have;  /* its end */
    size_t seen;  /* bytes from `start` that contain no end of line */
};

/* reader_open - read `fd` from its current position. Returns 0, or -1 if there is no memory. */
int reader_open(struct reader *reader, int fd);

/*
 * reader_next - the next line, without its end; valid until the next call.
 *
 * Returns 1, 0 after the last line, or -1 with errno (of read, or ENOMEM for a line that
 * does not fit into memory).
 */
int reader_next(struct reader *reader, struct span *line);

/* reader_close - free the buffer; the caller closes the descriptor. */
void reader_close(struct reader *reader);

#endif
