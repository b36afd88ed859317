#include "streams/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "streams/move.h"

struct slot {
    int fd;
    uint32_t tag;
    char *buffer;
    size_t len;
};

struct writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct slot slots[WRITER_SLOTS]; /* a ring */
    size_t given;                    /* slots filled so far; those from `written` to here wait */
    size_t written;
    int ended;
    int error;
    uint32_t failed;
};

/* Take the oldest slot that waits; NULL when there will be no more. */
static struct slot *next_slot(struct writer *writer)
{
    struct slot *slot = NULL;

    pthread_mutex_lock(&writer->lock);
    while (writer->written == writer->given && !writer->ended)
        pthread_cond_wait(&writer->change, &writer->lock);
    if (writer->written < writer->given)
        slot = &writer->slots[writer->written % WRITER_SLOTS];
    pthread_mutex_unlock(&writer->lock);
    return slot;
}

static void slot_done(struct writer *writer, const struct slot *slot, int error)
{
    pthread_mutex_lock(&writer->lock);
    if (error && !writer->error) {
        writer->error = error;
        writer->failed = slot->tag;
    }
    writer->written++;
    pthread_cond_signal(&writer->change);
    pthread_mutex_unlock(&writer->lock);
}

static void *work(void *argument)
{
    struct writer *writer = argument;
    struct slot *slot;
    int error = 0;

    while ((slot = next_slot(writer))) {
        if (!error && move_write(slot->fd, slot->buffer, slot->len, -1) < 0)
            error = errno;
        slot_done(writer, slot, error);
    }
    return NULL;
}

static void release(struct writer *writer)
{
    for (size_t i = 0; i < WRITER_SLOTS; i++)
        free(writer->slots[i].buffer);
    pthread_cond_destroy(&writer->change);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

struct writer *writer_new(size_t room)
{
    struct writer *writer = calloc(1, sizeof *writer);
    int ready = writer != NULL;

    if (!ready)
        return NULL;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->change, NULL);
    for (size_t i = 0; i < WRITER_SLOTS; i++)
        ready = (writer->slots[i].buffer = malloc(room)) && ready;
    if (ready && pthread_create(&writer->thread, NULL, work, writer) == 0)
        return writer;
    release(writer);
    return NULL;
}

int writer_give(struct writer *writer, int fd, uint32_t tag, char **buffer, size_t len)
{
    struct slot *slot;
    char *empty;
    int error;

    pthread_mutex_lock(&writer->lock);
    while (writer->given - writer->written == WRITER_SLOTS)
        pthread_cond_wait(&writer->change, &writer->lock);
    slot = &writer->slots[writer->given % WRITER_SLOTS];
    empty = slot->buffer;
    *slot = (struct slot){fd, tag, *buffer, len};
    *buffer = empty;
    writer->given++;
    error = writer->error;
    pthread_cond_signal(&writer->change);
    pthread_mutex_unlock(&writer->lock);
    return error ? -1 : 0;
}

int writer_end(struct writer *writer, uint32_t *tag)
{
    int error;

    pthread_mutex_lock(&writer->lock);
    writer->ended = 1;
    pthread_cond_signal(&writer->change);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    error = writer->error;
    *tag = writer->failed;
    release(writer);
    return error;
}
