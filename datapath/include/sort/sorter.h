/*
 * sorter - sort, merge and check files of any size, within a bounded memory.
 *
 * Lines are read into a block. When it is full, it is sorted and written to a run: a
 * nameless file of the temporary directory. At the end runs and the last block are
 * merged; if everything fits into one block, no run is written. The output is opened only
 * when all input has been read, so that it may be one of the inputs.
 *
 * Memory is the block and the buffers of runs: `memory` and a little, and room for
 * lines that are longer than a buffer.
 */
#ifndef REMORA_SORTER_H
#define REMORA_SORTER_H

#include <stddef.h>
#include <stdint.h>

#include "keys/keydef.h"

enum { SORTER_WHY = 4352 };

struct sorter {
    struct ordering ordering;
    const char *const *files; /* "-" is standard input */
    size_t n;
    const char *output;    /* NULL: standard output */
    const char *directory; /* of runs */
    size_t memory;
    int threads;
    int has_header;       /* each file begins with a line that is not sorted: the first file's is printed first */
    uint32_t parts;       /* print only the lines that divide all into so many parts of equal size; 0: print all */
    int is_unread;        /* after a failure: only because the reader of the output has gone */
    char why[SORTER_WHY]; /* after a failure: one sentence */
};

/* sorter_sort - print the sorted lines of all files. Returns 0, or -1 with `why`. */
int sorter_sort(struct sorter *sorter);

/* sorter_merge - the same for files that are sorted already. */
int sorter_merge(struct sorter *sorter);

/*
 * sorter_check - whether the only file is sorted, and with -u without equal lines.
 *
 * Returns 1; 0 with the first line that is not in `*line` and its number, from 1, in
 * *number, if it is not; or -1 with `why`. The line is to be freed.
 */
int sorter_check(struct sorter *sorter, uint64_t *number, char **line, size_t *len);

/* sorter_sample - print of the only file those lines that contain every `stride`-th byte. Returns 0 or -1. */
int sorter_sample(struct sorter *sorter, uint32_t stride);

#endif
