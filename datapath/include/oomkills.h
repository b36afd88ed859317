/*
 * oomkills - how many processes the memory cap of a control group has killed.
 */
#ifndef REMORA_OOMKILLS_H
#define REMORA_OOMKILLS_H

#include <stdint.h>

struct oomkills {
    int events;    /* a file with a line "oom_kill N", or -1: it is not known */
    uint64_t seen; /* so far */
};

/* Look at another file of events, which may be -1, in place of the one before, and count from there on. */
void oomkills_watch(struct oomkills *kills, int events);

/* Whether there are more than when this was last asked. */
int oomkills_more(struct oomkills *kills);

#endif
