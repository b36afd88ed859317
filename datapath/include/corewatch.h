/*
 * corewatch - notice a core dump of any process of a task.
 *
 * A process that we wait for says itself that it dumped. A grandchild's parent hears of
 * it instead, and a shell keeps it to itself. What both leave is a file, and the kernel's
 * `core_pattern` says where: by a name alone it is in the working directory of the one that
 * died, by an absolute path at that place in the instance. So the places where a task can
 * write, or that one, are watched: the kernel tells when a file there was closed after
 * writing, and if its name begins as the pattern does and it is an ELF core file, somebody
 * dumped.
 *
 * Directories that appear in a watched place are watched too, up to COREWATCH_MAX in all;
 * a core dump in the one after that goes unseen unless its process is waited for.
 *
 * Where cores go to a program of the machine's, or to a place that we do not have, there is
 * nothing to watch: they are `elsewhere`, and only their signal tells (corewatch_tells).
 */
#ifndef REMORA_COREWATCH_H
#define REMORA_COREWATCH_H

#include <stddef.h>

enum { COREWATCH_MAX = 256, COREWATCH_PATH = 256, COREWATCH_PROGRAM = 32,
       COREWATCH_PATTERN = 129 /* the kernel's, and its newline */ };

struct corewatch {
    int fd;   /* readable when there is something to check; -1: not watching */
    int root; /* the directory `/` */
    int elsewhere;     /* cores leave no file here */
    char prefix[COREWATCH_PROGRAM]; /* names of core files begin so */
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

/* Where the kernel puts core files; as it does by itself if it does not say. */
void corewatch_pattern(char pattern[COREWATCH_PATTERN]);

/*
 * corewatch_open - begin to watch.
 *
 * `places` (absolute paths, NULL-terminated; missing ones are passed over) count for a
 * `pattern` that is a name; one that is a path has its directory made and watched if `own`,
 * that is, if nobody else has the same root. Returns 0 or -1 with errno.
 */
int corewatch_open(struct corewatch *watch, const char *const *places, const char *pattern, int own);

/*
 * corewatch_tells - whether a wait status tells of a core dump that went elsewhere.
 *
 * True for a death by a signal that dumps core, also as a shell tells it of its last child.
 * False if cores are to be found here.
 */
int corewatch_tells(const struct corewatch *watch, int status);

/*
 * corewatch_check - see what has happened; never blocks.
 *
 * Looks at one batch of events, or at `all` there are: only to be asked for when no task
 * lives that could make more without end. Returns 1 and the latest core file if there was one.
 */
int corewatch_check(struct corewatch *watch, int all, struct corewatch_found *found);

#endif
