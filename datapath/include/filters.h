/*
 * filters - the same program many times, each between a pipe of ours and a descriptor.
 *
 * So parts are compressed while they are being written, all at the same time.
 */
#ifndef REMORA_FILTERS_H
#define REMORA_FILTERS_H

#include <stdint.h>
#include <sys/types.h>

#include "split.h"

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

/* filters_end - let them finish and wait for all. Returns 0, or -1 with a sentence in `why` about the first that failed. */
int filters_end(struct filters *filters);

#endif
