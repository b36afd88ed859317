#include "sort/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sort/block.h"
#include "sort/complain.h"
#include "sort/input.h"
#include "sort/merge.h"
#include "sort/order.h"
#include "sort/runs.h"
#include "split/outputs.h"
#include "streams/move.h"

enum {
    BUFFER = 1024 * 1024,  /* of each source of a merge at most, */
    BUFFER_MIN = 64 * 1024 /* and at least */
};

/* All that a sort or merge holds. */
struct state {
    struct sorter *sorter;
    struct input input;
    struct block block;
    struct runs runs;
    struct merge merge;
    struct source sources[MERGE_MAX];
    size_t opened; /* sources */
    struct outputs outputs;
    char *header;
    size_t header_len;
};

static struct state *new_state(struct sorter *sorter)
{
    struct state *state = calloc(1, sizeof *state);

    if (state)
        state->sorter = sorter;
    else
        complain_memory(sorter);
    return state;
}

/* Writing. */

static int begin_writing(struct state *state, int fd)
{
    memset(&state->outputs, 0, sizeof state->outputs);
    return outputs_init(&state->outputs, &fd, 1);
}

/* Write what is buffered; `result` is that of writing so far. Returns 0, or -1 with errno. */
static int end_writing(struct state *state, int result)
{
    if (result == 0)
        result = outputs_flush(&state->outputs);
    if (outputs_end(&state->outputs) < 0) {
        errno = state->outputs.error;
        return -1;
    }
    return result;
}

/* Open the output, and begin it with the header. Returns its descriptor, or -1 with the sentence. */
static int begin_output(struct state *state)
{
    const char *name = state->sorter->output;
    int fd = name ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDOUT_FILENO;

    if (fd < 0)
        return complain_output(state->sorter);
    if (begin_writing(state, fd) < 0)
        return complain_memory(state->sorter);
    if (state->header && outputs_put(&state->outputs, 0, state->header, state->header_len) < 0)
        return complain_output(state->sorter);
    return fd;
}

static int end_output(struct state *state, int fd, int result)
{
    result = end_writing(state, result);
    if (state->sorter->output && fd >= 0 && close(fd) < 0)
        result = -1;
    return result < 0 ? complain_output(state->sorter) : 0;
}

static int write_block(struct state *state)
{
    struct source source;
    struct span line;

    source_of_block(&source, &state->block);
    while (source_next(&source, &line) == SOURCE_LINE)
        if (outputs_put(&state->outputs, 0, line.at, line.len + 1) < 0)
            return -1;
    return 0;
}

/* Write only the lines that divide those of the block into equal parts. */
static int write_borders(struct state *state)
{
    const struct block *block = &state->block;
    uint32_t parts = state->sorter->parts;

    for (uint32_t part = 1; part < parts && block->n > 0; part++) {
        struct span line = block_line(block, &block->entries[(size_t)part * block->n / parts]);

        if (outputs_put(&state->outputs, 0, line.at, line.len + 1) < 0)
            return -1;
    }
    return 0;
}

/* Reading and spilling. */

static int make_run(struct state *state)
{
    int fd = runs_file(state->sorter->directory);

    if (fd < 0)
        return complain_run(state->sorter);
    if (begin_writing(state, fd) == 0)
        return fd;
    close(fd);
    return complain_memory(state->sorter);
}

static int end_run(struct state *state, int fd, int result)
{
    if (end_writing(state, result) == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return 0;
    complain_run(state->sorter);
    close(fd);
    return -1;
}

static int spill(struct state *state)
{
    int fd;

    if (order_block(&state->block, state->sorter->threads) < 0)
        return complain_memory(state->sorter);
    if ((fd = make_run(state)) < 0 || end_run(state, fd, write_block(state)) < 0)
        return -1;
    block_clear(&state->block);
    return runs_add(&state->runs, (struct run){.fd = fd}) < 0 ? complain_memory(state->sorter) : 0;
}

static int scan(struct state *state)
{
    struct block *block = &state->block;

    if (block_scan(block) == 0)
        return 0;
    return complain_long(state->sorter, input_name(&state->input), state->input.read - (block->have - block->start));
}

/* Read everything. What fits into the block stays there, the rest becomes runs. */
static int read_all(struct state *state)
{
    struct block *block = &state->block;
    ssize_t got = 0;

    while (got != INPUT_END) {
        size_t room = block_room(block);

        if (room == 0) {
            if (spill(state) < 0 || scan(state) < 0)
                return -1;
            continue;
        }
        got = input_read(&state->input, block->text + block->have, room);
        if (got == -1)
            return complain_read(state->sorter, input_name(&state->input));
        if (got > 0)
            block->have += (size_t)got;
        else
            block_end_text(block);
        if (scan(state) < 0)
            return -1;
    }
    return 0;
}

/* Merging. */

/* The first line of a file with a header; the first of all is kept. */
static int take_header(struct state *state, const struct run *run, struct source *source)
{
    struct span line;
    enum source_result result = source_next(source, &line);

    if (result == SOURCE_END)
        return 0;
    if (result != SOURCE_LINE)
        return complain_source(state->sorter, run->name, result, source);
    if (state->header)
        return 0;
    if (!(state->header = malloc(line.len + 1 + OUTPUTS_PAD)))
        return complain_memory(state->sorter);
    state->header_len = line.len + 1;
    memcpy(state->header, line.at, state->header_len);
    return 0;
}

/* Open the first `n` runs as sources. Returns 0, or -1 with the sentence. */
static int open_sources(struct state *state, size_t n)
{
    size_t share = state->sorter->memory / 4 / (n + 1);
    size_t room = share < BUFFER_MIN ? BUFFER_MIN : share > BUFFER ? BUFFER : share;

    for (size_t i = 0; i < n; i++) {
        const struct run *run = &state->runs.of[i];

        if (source_open(&state->sources[i], run->fd, state->sorter->ordering.end, room) < 0)
            return complain_memory(state->sorter);
        state->opened++;
        if (run->has_header && take_header(state, run, &state->sources[i]) < 0)
            return -1;
    }
    return 0;
}

static void close_sources(struct state *state)
{
    for (size_t i = 0; i < state->opened; i++)
        source_close(&state->sources[i]);
    state->opened = 0;
}

/* Merge `n` sources into what is being written. Returns 0, or -1 with the sentence or, if writing failed, with none. */
static int merge_sources(struct state *state, size_t n)
{
    struct merge *merge = &state->merge;

    if (merge_run(merge, &state->sorter->ordering, state->sources, n, &state->outputs) == 0)
        return 0;
    if (merge->failed != SOURCE_END)
        complain_source(state->sorter, merge->culprit < state->runs.n ? state->runs.of[merge->culprit].name : NULL,
                        merge->failed, &state->sources[merge->culprit]);
    return -1;
}

/* Merge the first runs into one, until so few are left that they can be merged with the block at once. */
static int merge_early(struct state *state)
{
    while (state->runs.n >= MERGE_MAX) {
        size_t n = MERGE_MAX;
        int fd, result;

        if (open_sources(state, n) < 0 || (fd = make_run(state)) < 0)
            return -1;
        result = merge_sources(state, n);
        close_sources(state);
        if (result < 0 && state->merge.failed != SOURCE_END) {
            outputs_end(&state->outputs);
            close(fd);
            return -1;
        }
        if (end_run(state, fd, result) < 0)
            return -1;
        runs_replace(&state->runs, n, fd);
    }
    return 0;
}

/* Merge all runs, and the block if it has lines, into the output. */
static int merge_all(struct state *state)
{
    size_t n;
    int fd, result;

    if (merge_early(state) < 0 || open_sources(state, state->runs.n) < 0 || (fd = begin_output(state)) < 0)
        return -1;
    n = state->runs.n;
    if (state->block.n > 0)
        source_of_block(&state->sources[n++], &state->block);
    result = merge_sources(state, n);
    if (result < 0 && state->merge.failed != SOURCE_END) {
        outputs_end(&state->outputs);
        return -1;
    }
    return end_output(state, fd, result);
}

static int finish(struct state *state, int result)
{
    close_sources(state);
    runs_close(&state->runs);
    free(state->header);
    free(state);
    return result;
}

static int sort_all(struct state *state)
{
    struct sorter *sorter = state->sorter;
    int fd;

    if (read_all(state) < 0)
        return -1;
    if (sorter->parts && state->runs.n > 0)
        return complain_samples(sorter);
    if (order_block(&state->block, sorter->threads) < 0)
        return complain_memory(sorter);
    state->header = state->input.header;
    state->header_len = state->input.header_len;
    state->input.header = NULL;
    if (state->runs.n > 0)
        return merge_all(state);
    if ((fd = begin_output(state)) < 0)
        return -1;
    return end_output(state, fd, sorter->parts ? write_borders(state) : write_block(state));
}

int sorter_sort(struct sorter *sorter)
{
    struct state *state = new_state(sorter);
    int result;

    if (!state)
        return -1;
    if (sorter->parts && sorter->ordering.is_unique) { /* borders are by the sizes of all lines */
        sorter->ordering.is_unique = 0;
        sorter->ordering.is_stable = 1;
    }
    if (block_open(&state->block, &sorter->ordering, sorter->memory) < 0) {
        complain_memory(sorter);
        return finish(state, -1);
    }
    input_open(&state->input, sorter->files, sorter->n, sorter->ordering.end, sorter->has_header);
    result = sort_all(state);
    input_close(&state->input);
    block_close(&state->block);
    return finish(state, result);
}

/* A copy of a file that is the output, too. */
static int copy_run(struct state *state, struct run *run)
{
    int copy = runs_file(state->sorter->directory);
    ssize_t moved = 1;

    while (copy >= 0 && moved > 0)
        moved = move_some(&(struct move){.src = run->fd, .dst = copy, .stop = -1}, BUFFER);
    if (copy < 0 || moved < 0 || lseek(copy, 0, SEEK_SET) < 0) {
        complain_run(state->sorter);
        if (copy >= 0)
            close(copy);
        return -1;
    }
    if (run->fd > STDIN_FILENO)
        close(run->fd);
    run->fd = copy;
    return 0;
}

static int is_output(const struct sorter *sorter, int fd)
{
    struct stat ours, theirs;

    if ((sorter->output ? stat(sorter->output, &ours) : fstat(STDOUT_FILENO, &ours)) < 0 || fstat(fd, &theirs) < 0)
        return 0;
    return S_ISREG(ours.st_mode) && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static int add_files(struct state *state)
{
    struct sorter *sorter = state->sorter;

    for (size_t i = 0; i < sorter->n; i++) {
        struct run run = {input_file(sorter->files[i]), sorter->files[i], sorter->has_header};

        if (run.fd < 0)
            return complain_read(sorter, run.name);
        if (is_output(sorter, run.fd) && copy_run(state, &run) < 0)
            return -1;
        if (runs_add(&state->runs, run) < 0)
            return complain_memory(sorter);
    }
    return 0;
}

int sorter_merge(struct sorter *sorter)
{
    struct state *state = new_state(sorter);

    if (!state)
        return -1;
    return finish(state, add_files(state) < 0 ? -1 : merge_all(state));
}
