/*
 * state - all that a sort or merge holds while it runs, and the steps that both have.
 *
 * Every function that returns -1 has left a sentence in the sorter's `why`, unless it says otherwise.
 */
#ifndef REMORA_STATE_H
#define REMORA_STATE_H

#include "sort/block.h"
#include "sort/input.h"
#include "sort/merge.h"
#include "sort/runs.h"
#include "sort/sorter.h"
#include "split/outputs.h"

struct state {
    struct sorter *sorter;
    struct input input;
    struct block block;
    struct runs runs;
    struct merge merge;
    struct source sources[MERGE_MAX];
    size_t opened; /* sources that are files */
    struct outputs outputs;
    char *header;
    size_t header_len;
};

/* state_new - from malloc. NULL without memory. */
struct state *state_new(struct sorter *sorter);

/* state_end - free all but the block and the input; returns `result`. */
int state_end(struct state *state, int result);

/* state_begin_output - open the output, with the header at its beginning. Returns its descriptor, or -1. */
int state_begin_output(struct state *state);

/* state_end_output - write what is buffered. `result` is that of writing so far, which has left no sentence. */
int state_end_output(struct state *state, int fd, int result);

/* state_begin_run - begin to write a temporary file. Returns its descriptor, or -1. */
int state_begin_run(struct state *state);

/* state_end_run - write what is buffered, and go back to the file's beginning. A file that failed is closed. */
int state_end_run(struct state *state, int fd, int result);

/* state_merge_all - merge all runs, and the block if it has lines, into the output. */
int state_merge_all(struct state *state);

#endif
