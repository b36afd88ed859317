#include "sort/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sort/complain.h"

struct state *state_new(struct sorter *sorter)
{
    struct state *state = calloc(1, sizeof *state);

    if (state)
        state->sorter = sorter;
    else
        complain_memory(sorter);
    return state;
}

int state_end(struct state *state, int result)
{
    for (size_t i = 0; i < state->opened; i++)
        source_close(&state->sources[i]);
    runs_close(&state->runs);
    free(state->header);
    free(state);
    return result;
}

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

int state_begin_output(struct state *state)
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

int state_end_output(struct state *state, int fd, int result)
{
    result = end_writing(state, result);
    if (state->sorter->output && fd >= 0 && close(fd) < 0)
        result = -1;
    return result < 0 ? complain_output(state->sorter) : 0;
}

int state_begin_run(struct state *state)
{
    int fd = runs_file(state->sorter->directory);

    if (fd < 0)
        return complain_run(state->sorter);
    if (begin_writing(state, fd) == 0)
        return fd;
    close(fd);
    return complain_memory(state->sorter);
}

int state_end_run(struct state *state, int fd, int result)
{
    if (end_writing(state, result) == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return 0;
    complain_run(state->sorter);
    close(fd);
    return -1;
}
