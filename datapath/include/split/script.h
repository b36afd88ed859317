/*
 * script - a keyer that makes keys by the user's JavaScript.
 *
 * No JavaScript engine in C would fit here, so a helper, `mkey`, runs the script:
 * batches of lines go to it through one pipe and their keys come back through another,
 * one batch at a time, so that neither side ever waits for the other's pipe to be read.
 * Integers have 32 bits and are native, as both ends are on one machine.
 *
 *     to mkey      the number of bytes that follow, and the lines with LF between them
 *     from mkey    count, the length of each key, the keys; or SCRIPT_FAILED, a length, a sentence
 *
 * Before the first batch mkey sends a count of 0, or the error in the script.
 */
#ifndef REMORA_SCRIPT_H
#define REMORA_SCRIPT_H

#include <stdint.h>
#include <sys/types.h>

#include "split/keyer.h"

#define SCRIPT_FAILED UINT32_MAX

struct script {
    struct keyer keyer;
    pid_t pid;
    int to;
    int from;
    char *frame; /* the latest one in either direction; from malloc */
    size_t room;
};

/*
 * script_start - start the helper argv[0] and wait until it has compiled the script.
 *
 * Returns 0, or -1 with the reason in keyer.why. Use &script->keyer; script_end ends it.
 */
int script_start(struct script *script, char *const argv[]);

/* script_end - let the helper end, and wait for it. Also after script_start has failed. */
void script_end(struct script *script);

#endif
