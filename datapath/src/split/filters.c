#include "split/filters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "split/child.h"

enum { PIPE = 256 * 1024 }; /* large enough to keep the other filters busy while one pipe is full */

static int cannot_start(struct filters *filters, int error)
{
    snprintf(filters->why, sizeof filters->why, "cannot start %s: %s", filters->program, strerror(error));
    filters_end(filters);
    return -1;
}

int filters_start(struct filters *filters, const char *program, int *outs, uint32_t n)
{
    char *argv[] = {(char *)program, NULL};

    *filters = (struct filters){.program = program};
    for (; filters->n < n; filters->n++) {
        uint32_t i = filters->n;
        int ends[2];
        int error;

        if (pipe2(ends, O_CLOEXEC) < 0)
            return cannot_start(filters, errno);
        fcntl(ends[1], F_SETPIPE_SZ, PIPE); /* the default size is sufficient */
        error = child_start(argv, ends[0], outs[i], &filters->pids[i]);
        close(ends[0]);
        if (error) {
            close(ends[1]);
            return cannot_start(filters, error);
        }
        close(outs[i]);
        filters->pipes[i] = ends[1];
    }
    return 0;
}

int filters_end(struct filters *filters)
{
    int result = 0;

    for (uint32_t i = 0; i < filters->n; i++)
        close(filters->pipes[i]);
    for (uint32_t i = 0; i < filters->n; i++) {
        int status = child_wait(filters->pids[i]);

        if (status != 0 && result == 0) {
            snprintf(filters->why, sizeof filters->why, "%s failed with status %d on the part of reducer %u",
                     filters->program, status, i);
            result = -1;
        }
    }
    return result;
}
