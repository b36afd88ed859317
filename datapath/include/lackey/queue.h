/*
 * queue - the tasks that the agent has handed to a lackey, in their order, until each has its turn.
 *
 * A queued task holds its three descriptors; its turn, or the agent's wish, takes it out.
 */
#ifndef REMORA_QUEUE_H
#define REMORA_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/pass.h"

struct queued {
    struct queued *next;
    uint64_t task;
    uint32_t slot;
    int fds[3];
    size_t len;
    char environment[]; /* `len` bytes, "K=V\0" each */
};

struct queue {
    struct queued *first, **last;
    int count;
};

/* queue_init - before first use. */
void queue_init(struct queue *queue);

/* queue_add - queue the task of a RUN packet, whose descriptors it then owns. Returns 0, or -1 without memory. */
int queue_add(struct queue *queue, const struct pass_header *header, const char *payload, size_t len, const int fds[3]);

/* queue_take - take the first one out; NULL if there is none. The caller frees it. */
struct queued *queue_take(struct queue *queue);

/* queue_drop - drop a task that waits. Returns whether it did. */
int queue_drop(struct queue *queue, uint64_t task);

/* queue_clear - drop all. */
void queue_clear(struct queue *queue);

/* queued_close - close a task's descriptors. */
void queued_close(const struct queued *queued);

#endif
