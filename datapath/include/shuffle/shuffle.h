/*
 * shuffle - a shuffle file: the lines of one task, by the partitions that read them.
 *
 * A job with N tasks that write and P partitions that read would need N x P files. So
 * each task writes one file, front to back: whenever a partition's buffer is full, it is
 * appended as an extent. Where the extents are is written at the end.
 *
 *     0        extents: whole lines of one partition, or a piece of one long line
 *     I        u32 first[P + 1]                  the extents of partition p are ext[first[p]] up to ext[first[p + 1] - 1]
 *              {u64 at; u32 len; u32 lines} ext[E]   by partition, and in it in the order of the lines
 *              u64 digest[P]                     of the bytes of each partition
 *     -48      "REMSHUFF"; u32 version, P, E, flags (1: lines end in NUL); u64 I, lines, XXH3-64 of [I, here)
 *
 * I, the extents and the digests are at multiples of 8 bytes, with zeros before them;
 * numbers are little-endian. A digest is 0 without extents; each extent makes it the
 * XXH3-64 of the digest before and the extent's own XXH3-64, 8 bytes each. A reader of a
 * partition needs the end, two numbers and its extents. `datapath/shuffle_file.py` reads
 * and checks such files.
 */
#ifndef REMORA_SHUFFLE_H
#define REMORA_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "split/outputs.h"

enum {
    SHUFFLE_PARTITIONS = 5000,
    SHUFFLE_VERSION = 1,
    SHUFFLE_ZERO = 1,       /* flag: lines end in NUL */
    SHUFFLE_ROOM = 65536,   /* bytes of a partition's buffer at most, */
    SHUFFLE_ROOM_MIN = 4096 /* and at least */
};

struct extent {
    uint64_t at;
    uint32_t len;
    uint32_t lines;
};

/* An extent that was written, and its partition. */
struct logged {
    struct extent extent;
    uint32_t partition;
};

struct partition {
    char *buffer;
    uint32_t used; /* always less than `room` */
    uint32_t lines;
    uint64_t digest;
};

struct shuffle {
    int fd;
    uint32_t n; /* partitions */
    uint32_t flags;
    uint32_t room;
    struct partition *partitions;
    struct writer *writer; /* NULL until a buffer was full */
    struct logged *log;
    size_t logged;
    size_t log_room;
    uint64_t at; /* bytes of extents so far */
    uint64_t lines;
    int error; /* errno of what failed first */
};

/*
 * shuffle_open - prepare to write `n` (1 ... SHUFFLE_PARTITIONS) partitions to `fd`, an empty file or a pipe.
 *
 * Buffers take `memory`, but at least SHUFFLE_ROOM_MIN each. Returns 0, or -1 without memory;
 * shuffle_end frees in both cases.
 */
int shuffle_open(struct shuffle *shuffle, int fd, uint32_t n, uint32_t flags, size_t memory);

/* shuffle_put_long - shuffle_put for what does not fit into the buffer. */
int shuffle_put_long(struct shuffle *shuffle, uint32_t i, const char *line, size_t len);

/* shuffle_finish - write what is buffered, and the index. Returns 0, or -1 with `error`. */
int shuffle_finish(struct shuffle *shuffle);

/* shuffle_end - free all. */
void shuffle_end(struct shuffle *shuffle);

/*
 * shuffle_put - append a line of `len` bytes with its end to partition `i`; OUTPUTS_PAD bytes after it can be read.
 *
 * Returns 0, or -1 after something has failed.
 */
static inline int shuffle_put(struct shuffle *shuffle, uint32_t i, const char *line, size_t len)
{
    struct partition *partition = &shuffle->partitions[i];

    if (len >= shuffle->room - partition->used)
        return shuffle_put_long(shuffle, i, line, len);
    outputs_copy(partition->buffer + partition->used, line, len);
    partition->used += (uint32_t)len;
    partition->lines++;
    return 0;
}

#endif
