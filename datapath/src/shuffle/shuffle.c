#include "shuffle/shuffle.h"

#include <errno.h>
#include <stdlib.h>

#include "hash/xxh3.h"
#include "streams/move.h"

enum { LOG_ROOM = 1024 };

static const char MAGIC[8] = "REMSHUFF";

struct footer {
    char magic[8];
    uint32_t version;
    uint32_t partitions;
    uint32_t extents;
    uint32_t flags;
    uint64_t index;
    uint64_t lines;
    uint64_t hash;
};

int shuffle_open(struct shuffle *shuffle, int fd, uint32_t n, uint32_t flags, size_t memory)
{
    size_t share = memory / n;

    *shuffle = (struct shuffle){.fd = fd, .n = n, .flags = flags};
    shuffle->room = share < SHUFFLE_ROOM_MIN ? SHUFFLE_ROOM_MIN : share > SHUFFLE_ROOM ? SHUFFLE_ROOM : (uint32_t)share;
    shuffle->partitions = calloc(n, sizeof *shuffle->partitions);
    if (!shuffle->partitions)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        if (!(shuffle->partitions[i].buffer = malloc(shuffle->room + OUTPUTS_PAD)))
            return -1;
    return 0;
}

static int fail(struct shuffle *shuffle, int error)
{
    if (!shuffle->error)
        shuffle->error = error;
    return -1;
}

static uint64_t chained(uint64_t digest, const char *data, size_t len)
{
    uint64_t pair[2] = {digest, xxh3_64((const unsigned char *)data, len)};

    return xxh3_64((const unsigned char *)pair, sizeof pair);
}

/* Write down that the partition's buffer is the next extent. */
static int log_extent(struct shuffle *shuffle, uint32_t i)
{
    struct partition *partition = &shuffle->partitions[i];

    if (shuffle->logged == shuffle->log_room) {
        size_t room = shuffle->log_room ? 2 * shuffle->log_room : LOG_ROOM;
        struct logged *larger = realloc(shuffle->log, room * sizeof *larger);

        if (!larger)
            return fail(shuffle, ENOMEM);
        shuffle->log = larger;
        shuffle->log_room = room;
    }
    shuffle->log[shuffle->logged++] = (struct logged){{shuffle->at, partition->used, partition->lines}, i};
    partition->digest = chained(partition->digest, partition->buffer, partition->used);
    shuffle->at += partition->used;
    shuffle->lines += partition->lines;
    return 0;
}

/* Write a partition's buffer, by the writer's thread if there is one. */
static int flush(struct shuffle *shuffle, uint32_t i)
{
    struct partition *partition = &shuffle->partitions[i];
    size_t used = partition->used;

    if (log_extent(shuffle, i) < 0)
        return -1;
    partition->used = partition->lines = 0;
    if (shuffle->writer)
        return writer_give(shuffle->writer, shuffle->fd, i, &partition->buffer, used);
    return move_write(shuffle->fd, partition->buffer, used, -1) < 0 ? fail(shuffle, errno) : 0;
}

int shuffle_put_long(struct shuffle *shuffle, uint32_t i, const char *line, size_t len)
{
    struct partition *partition = &shuffle->partitions[i];

    if (!shuffle->writer)
        shuffle->writer = writer_new(shuffle->room + OUTPUTS_PAD);
    /* Lines stay whole where they can. */
    if (len < shuffle->room && partition->used > 0 && flush(shuffle, i) < 0)
        return -1;
    while (len >= shuffle->room - partition->used) {
        size_t piece = shuffle->room - partition->used;

        outputs_copy(partition->buffer + partition->used, line, piece);
        partition->used += (uint32_t)piece;
        line += piece;
        len -= piece;
        partition->lines += len == 0;
        if (flush(shuffle, i) < 0)
            return -1;
    }
    return len > 0 ? shuffle_put(shuffle, i, line, len) : 0;
}

/* Wait for the writer, so that what follows is written behind it. */
static int end_writer(struct shuffle *shuffle)
{
    uint32_t partition;
    int error = shuffle->writer ? writer_end(shuffle->writer, &partition) : 0;

    shuffle->writer = NULL;
    return error ? fail(shuffle, error) : 0;
}

static size_t aligned(size_t at)
{
    return (at + 7) & ~(size_t)7;
}

/* Fill in the index, which is all zeros: where each partition's extents are, the extents by partition, the digests. */
static void fill_index(const struct shuffle *shuffle, uint32_t *first, struct extent *extents, uint64_t *digests)
{
    for (size_t i = 0; i < shuffle->logged; i++)
        first[shuffle->log[i].partition + 1]++;
    for (uint32_t i = 0; i < shuffle->n; i++) {
        first[i + 1] += first[i];
        digests[i] = shuffle->partitions[i].digest;
    }
    /* Each partition's first number is counted up to that of the next one, and all are moved back then. */
    for (size_t i = 0; i < shuffle->logged; i++)
        extents[first[shuffle->log[i].partition]++] = shuffle->log[i].extent;
    memmove(first + 1, first, shuffle->n * sizeof *first);
    first[0] = 0;
}

static int write_index(struct shuffle *shuffle)
{
    size_t pad = aligned(shuffle->at) - shuffle->at;
    size_t extents = aligned((shuffle->n + 1) * sizeof(uint32_t));
    size_t digests = extents + shuffle->logged * sizeof(struct extent);
    size_t len = digests + shuffle->n * sizeof(uint64_t);
    char *index = calloc(1, len + sizeof(struct footer));
    struct footer footer = {.version = SHUFFLE_VERSION,
                            .partitions = shuffle->n,
                            .extents = (uint32_t)shuffle->logged,
                            .flags = shuffle->flags,
                            .index = shuffle->at + pad,
                            .lines = shuffle->lines};
    int result;

    if (!index)
        return fail(shuffle, ENOMEM);
    fill_index(shuffle, (uint32_t *)(void *)index, (struct extent *)(void *)(index + extents),
               (uint64_t *)(void *)(index + digests));
    memcpy(footer.magic, MAGIC, sizeof MAGIC);
    memcpy(index + len, &footer, sizeof footer);
    footer.hash = xxh3_64((const unsigned char *)index, len + offsetof(struct footer, hash));
    memcpy(index + len, &footer, sizeof footer);
    result = move_write(shuffle->fd, "\0\0\0\0\0\0\0", pad, -1);
    if (result == 0)
        result = move_write(shuffle->fd, index, len + sizeof footer, -1);
    free(index);
    return result < 0 ? fail(shuffle, errno) : 0;
}

int shuffle_finish(struct shuffle *shuffle)
{
    for (uint32_t i = 0; i < shuffle->n; i++)
        if (shuffle->partitions[i].used > 0 && flush(shuffle, i) < 0) {
            end_writer(shuffle);
            return -1;
        }
    return end_writer(shuffle) < 0 ? -1 : write_index(shuffle);
}

void shuffle_end(struct shuffle *shuffle)
{
    end_writer(shuffle);
    for (uint32_t i = 0; shuffle->partitions && i < shuffle->n; i++)
        free(shuffle->partitions[i].buffer);
    free(shuffle->partitions);
    free(shuffle->log);
}
