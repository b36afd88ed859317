#include "sort/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_ROOM = 16 };

/* For file systems without nameless files: one whose name is removed at once. */
static int unlinked_file(const char *directory)
{
    char path[4096];
    int fd;

    if (snprintf(path, sizeof path, "%s/msortXXXXXX", directory) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if ((fd = mkostemp(path, O_CLOEXEC)) >= 0 && unlink(path) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int runs_file(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) ? unlinked_file(directory) : fd;
}

/* Standard input stays open. */
static void close_run(const struct run *run)
{
    if (run->fd > STDIN_FILENO)
        close(run->fd);
}

int runs_add(struct runs *runs, struct run run)
{
    if (runs->n == runs->room) {
        size_t room = runs->room ? 2 * runs->room : FIRST_ROOM;
        struct run *larger = realloc(runs->of, room * sizeof *larger);

        if (!larger) {
            close_run(&run);
            return -1;
        }
        runs->of = larger;
        runs->room = room;
    }
    runs->of[runs->n++] = run;
    return 0;
}

void runs_replace(struct runs *runs, size_t n, int fd)
{
    for (size_t i = 0; i < n; i++)
        close_run(&runs->of[i]);
    runs->of[0] = (struct run){.fd = fd};
    memmove(runs->of + 1, runs->of + n, (runs->n - n) * sizeof *runs->of);
    runs->n -= n - 1;
}

void runs_close(struct runs *runs)
{
    for (size_t i = 0; i < runs->n; i++)
        close_run(&runs->of[i]);
    free(runs->of);
    *runs = (struct runs){0};
}
