/*
 * oomkills - count the processes that the memory cap of a control group has killed.
 */
#ifndef REMORA_OOMKILLS_H
#define REMORA_OOMKILLS_H

#include <stdint.h>

struct oomkills {
    int events;    /* a file with a line "oom_kill N", or -1: it is not known */
    uint64_t seen; /* so far */
};

/* Read another file of events from now on, which may be -1, and count from its present number. */
void oomkills_watch(struct oomkills *kills, int events);

/* Whether the number has grown since the last call. */
int oomkills_more(struct oomkills *kills);

#endif
