/*
 * runs - sorted files that wait to be merged, in the order of the input.
 *
 * Most are nameless temporary files, which go away with their descriptors.
 */
#ifndef REMORA_RUNS_H
#define REMORA_RUNS_H

#include <stddef.h>

struct run {
    int fd;
    const char *name; /* of a user's file; NULL: a temporary one */
    int has_header;   /* its first line is not sorted */
};

struct runs {
    struct run *of;
    size_t n;
    size_t room;
};

/* runs_file - a new nameless file of a directory. Returns its descriptor, or -1 with errno. */
int runs_file(const char *directory);

/* runs_add - append a run, which belongs to the runs then. Returns 0, or -1 without memory (the run is closed). */
int runs_add(struct runs *runs, struct run run);

/* runs_replace - put a temporary file in the place of the first `n`, which are closed. */
void runs_replace(struct runs *runs, size_t n, int fd);

void runs_close(struct runs *runs);

#endif
