/*
 * corewatch - notice a core dump of any process of a task.
 *
 * A process that we wait for says itself that it dumped. A grandchild's parent hears of
 * it instead, and a shell keeps it to itself. What both leave is a file named `core` (or
 * `core.<something>`) in the working directory of the one that died. So the places where a
 * task can write are watched: the kernel tells when a file there was closed after writing,
 * and if it has such a name and is an ELF core file, somebody dumped.
 *
 * Directories that appear in a watched place are watched too, up to COREWATCH_MAX in all;
 * a core dump in the one after that goes unseen unless its process is waited for. So does
 * one on a machine whose `core_pattern` is a program or another place.
 */
#ifndef REMORA_COREWATCH_H
#define REMORA_COREWATCH_H

#include <stddef.h>

enum { COREWATCH_MAX = 256, COREWATCH_PATH = 256, COREWATCH_PROGRAM = 32 };

struct corewatch {
    int fd;   /* readable when there is something to check; -1: not watching */
    int root; /* the directory `/` */
    int count;
    struct {
        int id; /* 0: free */
        char path[COREWATCH_PATH];
    } places[COREWATCH_MAX];
};

/* A core file found: its absolute path and its program's name. */
struct corewatch_found {
    char path[COREWATCH_PATH];
    char program[COREWATCH_PROGRAM];
};

/* Begin to watch `places` (absolute paths, NULL-terminated; missing ones are passed over). Returns 0 or -1 with errno. */
int corewatch_open(struct corewatch *watch, const char *const *places);

/*
 * corewatch_check - see what has happened; never blocks.
 *
 * Looks at one batch of events, or at `all` there are: only to be asked for when no task
 * lives that could make more without end. Returns 1 and the latest core file if there was one.
 */
int corewatch_check(struct corewatch *watch, int all, struct corewatch_found *found);

#endif
