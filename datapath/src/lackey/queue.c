#include "lackey/queue.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void queue_init(struct queue *queue)
{
    *queue = (struct queue){.last = &queue->first};
}

int queue_add(struct queue *queue, const struct pass_header *header, const char *payload, size_t len, const int fds[3])
{
    struct queued *queued = malloc(sizeof *queued + len);

    if (!queued)
        return -1;
    *queued = (struct queued){.task = header->task, .slot = header->flags, .len = len};
    memcpy(queued->fds, fds, sizeof queued->fds);
    memcpy(queued->environment, payload, len);
    *queue->last = queued;
    queue->last = &queued->next;
    queue->count++;
    return 0;
}

static struct queued *take(struct queue *queue, struct queued **link)
{
    struct queued *queued = *link;

    *link = queued->next;
    if (queue->last == &queued->next)
        queue->last = link;
    queue->count--;
    return queued;
}

struct queued *queue_take(struct queue *queue)
{
    return queue->first ? take(queue, &queue->first) : NULL;
}

static void drop(struct queued *queued)
{
    queued_close(queued);
    free(queued);
}

int queue_drop(struct queue *queue, uint64_t task)
{
    for (struct queued **link = &queue->first; *link; link = &(*link)->next)
        if ((*link)->task == task) {
            drop(take(queue, link));
            return 1;
        }
    return 0;
}

void queue_clear(struct queue *queue)
{
    while (queue->first)
        drop(take(queue, &queue->first));
}

void queued_close(const struct queued *queued)
{
    for (int i = 0; i < 3; i++)
        close(queued->fds[i]);
}
