/*
 * corewatch - notice a core dump of any process of a task.
 *
 * The wait status of a child of the lackey says whether it dumped. The status of a
 * grandchild goes to its parent, and a shell does not report it. Both leave a file, and the
 * kernel's `core_pattern` says where: a name alone means the working directory of the
 * process that died, an absolute path means that path in the instance. So the directories
 * where a task can write, or that one, are watched: the kernel reports each file that was
 * closed after writing, and if its name begins as the pattern does and it is an ELF core
 * file, a process has dumped.
 *
 * Directories that appear in a watched place are watched too, up to COREWATCH_MAX in all;
 * a core dump in the one after that goes unseen unless its process is waited for.
 *
 * If the pattern names a program of the machine, or a directory that the instance lacks,
 * there is nothing to watch: core files are `elsewhere`, and only the signal reveals them
 * (corewatch_tells).
 */
#ifndef REMORA_COREWATCH_H
#define REMORA_COREWATCH_H

#include <stddef.h>

enum {
    COREWATCH_MAX = 256,
    COREWATCH_PATH = 256,
    COREWATCH_PROGRAM = 32,
    COREWATCH_PATTERN = 129 /* the kernel's, and its newline */
};

struct corewatch {
    int fd;                         /* readable when there is something to check; -1: not watching */
    int root;                       /* the directory `/` */
    int elsewhere;                  /* core files do not appear in the instance */
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

/* The kernel's pattern of core files, or its default if it cannot be read. */
void corewatch_pattern(char pattern[COREWATCH_PATTERN]);

/*
 * corewatch_open - begin to watch.
 *
 * `places` (absolute paths, NULL-terminated; missing ones are skipped) are watched if
 * `pattern` is a name. If it is a path, its directory is made and watched if `own`, that
 * is, if the instance has a root of its own. Returns 0 or -1 with errno.
 */
int corewatch_open(struct corewatch *watch, const char *const *places, const char *pattern, int own);

/*
 * corewatch_tells - whether a wait status reveals a core dump that went elsewhere.
 *
 * True for a death by a signal that dumps core, also as a shell reports it of its last
 * child. False if core files appear in the instance.
 */
int corewatch_tells(const struct corewatch *watch, int status);

/*
 * corewatch_check - read the events so far; never blocks.
 *
 * Reads one batch of events, or `all`: only when no task lives that could make more of them
 * without end. Returns 1 and the latest core file if there was one.
 */
int corewatch_check(struct corewatch *watch, int all, struct corewatch_found *found);

#endif
