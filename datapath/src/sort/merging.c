/* Merging of files, and of what a sort has put into files. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sort/complain.h"
#include "sort/state.h"
#include "streams/move.h"

enum {
    BUFFER = 1024 * 1024,   /* of each source of a merge at most, */
    BUFFER_MIN = 64 * 1024, /* and at least */
    RUNS_MAX = 256          /* files that are merged at once, as every process may open them */
};

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
        state->sources[i].keeps = 1;
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
    while (state->runs.n >= RUNS_MAX) {
        size_t n = RUNS_MAX;
        int fd, result;

        if (open_sources(state, n) < 0 || (fd = state_begin_run(state)) < 0)
            return -1;
        result = merge_sources(state, n);
        close_sources(state);
        if (result < 0 && state->merge.failed != SOURCE_END) {
            outputs_end(&state->outputs);
            close(fd);
            return -1;
        }
        if (state_end_run(state, fd, result) < 0)
            return -1;
        runs_replace(&state->runs, n, fd);
    }
    return 0;
}

int state_merge_all(struct state *state)
{
    int fd, result;
    size_t n;

    if (merge_early(state) < 0 || open_sources(state, state->runs.n) < 0 || (fd = state_begin_output(state)) < 0)
        return -1;
    n = state->runs.n;
    if (state->block.n > 0)
        source_of_block(&state->sources[n++], &state->block);
    result = merge_sources(state, n);
    if (result < 0 && state->merge.failed != SOURCE_END) {
        outputs_end(&state->outputs);
        return -1;
    }
    return state_end_output(state, fd, result);
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
    struct state *state = state_new(sorter);

    if (!state)
        return -1;
    return state_end(state, add_files(state) < 0 ? -1 : state_merge_all(state));
}
