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

enum { STATE_RUNS = MERGE_MAX / 2 }; /* of the block, and as many of files are merged at once */

struct state {
    struct sorter *sorter;
    struct input input;
    struct block block;
    size_t starts[STATE_RUNS + 1]; /* of the sorted runs in the block */
    size_t nstarts;                /* how many runs there are */
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

/* state_add_block - make the block's runs sources, behind the first `n` ones. Returns how many there are then. */
size_t state_add_block(struct state *state, size_t n);

/* state_merge - merge the first `n` sources into what is being written. Returns -1 without a sentence if that failed. */
int state_merge(struct state *state, size_t n);

/* state_merge_all - merge all runs, and those of the block, into the output. */
int state_merge_all(struct state *state);

#endif
