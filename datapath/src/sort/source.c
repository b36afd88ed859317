#include "sort/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "split/outputs.h"

enum {
    AHEAD = 12, /* lines of a block that are fetched before they are needed */
    CACHE_LINE = 64
};

int source_open(struct source *source, int fd, char end, size_t room)
{
    *source =
        (struct source){.fd = fd, .end = end, .room = room, .buffer = malloc(room + BLOCK_PAD), .left = UINT64_MAX};
    return source->buffer ? 0 : -1;
}

void source_range(struct source *source, uint64_t start, uint64_t end)
{
    source->next = start;
    source->left = end - start;
}

void source_of_block(struct source *source, const struct block *block)
{
    *source = (struct source){.block = block};
}

static void fetch(const struct block *block, size_t i)
{
    const struct entry *record = &block->entries[i + 2 * AHEAD], *text = &block->entries[i + AHEAD];

    if (i + 2 * AHEAD < block->n && record->ref != BLOCK_DROPPED && block_has_record(block, record))
        __builtin_prefetch(block_record(block, record));
    if (i + AHEAD < block->n && text->ref != BLOCK_DROPPED) {
        const char *at = block_text(block, text);

        __builtin_prefetch(at);
        __builtin_prefetch(at + OUTPUTS_PAD); /* which a copy reads in any case */
    }
}

static enum source_result next_of_block(struct source *source, struct span *line)
{
    const struct block *block = source->block;

    while (source->entry < block->n) {
        const struct entry *entry = &block->entries[source->entry];

        fetch(block, source->entry++);
        if (entry->ref != BLOCK_DROPPED) {
            *line = block_line(block, entry);
            return SOURCE_LINE;
        }
    }
    return SOURCE_END;
}

/* Move what is kept of the text to the start of the buffer, which grows if it is full of it. */
static int make_room(struct source *source)
{
    size_t gone = source->keeps ? source->line : source->start;

    if (gone > 0) {
        memmove(source->buffer, source->buffer + gone, source->have - gone);
        source->start -= gone;
        source->have -= gone;
        source->line = 0;
    }
    if (source->have == source->room) {
        char *larger = realloc(source->buffer, 2 * source->room + BLOCK_PAD);

        if (!larger)
            return -1;
        source->buffer = larger;
        source->room *= 2;
    }
    return 0;
}

/* Read more text. Returns SOURCE_LINE if there is some, or the end that was missing. */
static enum source_result refill(struct source *source)
{
    ssize_t got = 0;
    size_t want;

    if (source->ended)
        return SOURCE_END;
    if (source->have - source->start > LINE_MAX_BYTES)
        return SOURCE_LONG;
    if (make_room(source) < 0)
        return SOURCE_MEMORY;
    want = source->room - source->have;
    want = want > source->left ? (size_t)source->left : want;
    while (want > 0 && (got = read(source->fd, source->buffer + source->have, want)) < 0)
        if (errno != EINTR)
            return SOURCE_READ;
    source->have += (size_t)got;
    source->left -= (uint64_t)got;
    if (got > 0)
        return SOURCE_LINE;
    source->ended = 1;
    if (source->have == source->start)
        return SOURCE_END;
    source->buffer[source->have++] = source->end;
    return SOURCE_LINE;
}

/* The latest line is the one before from here on. */
static void remember(struct source *source)
{
    source->before = source->line;
    source->before_len = source->len;
}

enum source_result source_next(struct source *source, struct span *line)
{
    size_t searched = 0;
    char *end;

    if (source->block)
        return next_of_block(source, line);
    for (;;) {
        size_t from = source->start + searched;
        enum source_result result;

        if ((end = memchr(source->buffer + from, source->end, source->have - from)))
            break;
        searched = source->have - source->start;
        if ((result = refill(source)) != SOURCE_LINE) {
            remember(source);
            return result;
        }
    }
    *line = (struct span){source->buffer + source->start, (size_t)(end - source->buffer) - source->start};
    if (line->len > LINE_MAX_BYTES)
        return SOURCE_LONG;
    remember(source);
    source->line = source->start;
    source->len = line->len;
    source->lines++;
    source->start += line->len + 1;
    source->offset = source->next;
    source->next += line->len + 1;
    return SOURCE_LINE;
}

void source_close(struct source *source)
{
    free(source->buffer);
    source->buffer = NULL;
}
