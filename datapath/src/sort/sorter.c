#include "sort/sorter.h"

#include "sort/complain.h"
#include "sort/order.h"
#include "sort/state.h"

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

static int order(struct state *state)
{
    return order_block(&state->block, state->sorter->threads) < 0 ? complain_memory(state->sorter) : 0;
}

static int spill(struct state *state)
{
    int fd;

    if (order(state) < 0 || (fd = state_begin_run(state)) < 0 || state_end_run(state, fd, write_block(state)) < 0)
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

static int sort_all(struct state *state)
{
    struct sorter *sorter = state->sorter;
    int fd;

    if (read_all(state) < 0)
        return -1;
    if (sorter->parts && state->runs.n > 0)
        return complain_samples(sorter);
    if (order(state) < 0)
        return -1;
    state->header = state->input.header;
    state->header_len = state->input.header_len;
    state->input.header = NULL;
    if (state->runs.n > 0)
        return state_merge_all(state);
    if ((fd = state_begin_output(state)) < 0)
        return -1;
    return state_end_output(state, fd, sorter->parts ? write_borders(state) : write_block(state));
}

int sorter_sort(struct sorter *sorter)
{
    struct state *state = state_new(sorter);
    int result;

    if (!state)
        return -1;
    if (sorter->parts && sorter->ordering.is_unique) { /* borders are by the sizes of all lines */
        sorter->ordering.is_unique = 0;
        sorter->ordering.is_stable = 1;
    }
    if (block_open(&state->block, &sorter->ordering, sorter->memory) < 0) {
        complain_memory(sorter);
        return state_end(state, -1);
    }
    input_open(&state->input, sorter->files, sorter->n, sorter->ordering.end, sorter->has_header);
    result = sort_all(state);
    input_close(&state->input);
    block_close(&state->block);
    return state_end(state, result);
}
