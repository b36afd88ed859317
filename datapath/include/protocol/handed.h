/*
 * handed - the inputs of a task that merges: open files, which the agent hands over.
 *
 * The task's standard input is a socket of packets (pass.h): one for each input, and the end.
 */
#ifndef REMORA_HANDED_H
#define REMORA_HANDED_H

#include <stdint.h>

struct handed {
    int fd;              /* the caller's from here on */
    uint32_t dictionary; /* its number among the dictionaries of a join, from 1; 0: it is none */
    char *name;          /* of the object; from malloc */
};

/* handed_next - the next input. Returns 1; 0 after the last; -1 with errno, which is EBADMSG for anything else. */
int handed_next(int sock, struct handed *handed);

#endif
