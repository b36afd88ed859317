/*
 * lackey_options - the options of the lackey, as its --help lists them.
 */
#ifndef REMORA_LACKEY_OPTIONS_H
#define REMORA_LACKEY_OPTIONS_H

#include "sandbox/sandbox.h"

enum lackey_isolation { LACKEY_AUTO, LACKEY_NAMESPACES, LACKEY_SUBREAPER };

struct lackey_options {
    int socket;
    const char *connect; /* NULL: the socket is given */
    enum lackey_isolation isolation;
    unsigned long long disk_bytes; /* 0: no limit */
    struct sandbox_plan plan;
};

/*
 * lackey_options_take - fill `options`, which is zero, from the command line, and erase that: tasks can read
 * it, and its paths are internal. Exits with a sentence if an option is wrong, and after --help.
 */
void lackey_options_take(struct lackey_options *options, int argc, char **argv);

/* lackey_die - say on stderr why the lackey ends, and end. */
_Noreturn void lackey_die(int status, const char *what, const char *detail);

#endif
