/*
 * filters - run one program many times, each copy between a pipe of ours and a descriptor.
 *
 * This compresses all parts in parallel while they are written.
 */
#ifndef REMORA_FILTERS_H
#define REMORA_FILTERS_H

#include <stdint.h>
#include <sys/types.h>

#include "split/split.h"

struct filters {
    const char *program;
    uint32_t n;
    int pipes[SPLIT_REDUCERS]; /* to write into */
    pid_t pids[SPLIT_REDUCERS];
    char why[160];
};

/*
 * filters_start - start `program` for each of outs[0] ... outs[n - 1], which are closed here.
 *
 * Returns 0, or -1 with a sentence in `why`.
 */
int filters_start(struct filters *filters, const char *program, int *outs, uint32_t n);

/* filters_end - close the pipes and wait for all copies. Returns 0, or -1 with a
 * sentence in `why` about the first that failed. */
int filters_end(struct filters *filters);

#endif
