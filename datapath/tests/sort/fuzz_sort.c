/*
 * Any lines, sorted in a block that is read in any pieces, and merged from two, as a plain sort has them.
 *
 * The first line is an ordering (oracle.h), the rest is the text. The first byte of the text says how it is divided, too.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oracle.h"
#include "sort/merge.h"
#include "sort/order.h"

enum { LONGEST = 1024, LINES = 256, CAP = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t lines_of(struct span text, char end, struct span *lines)
{
    size_t n = 0;

    while (text.len > 0) {
        const char *at = memchr(text.at, end, text.len);
        size_t len = at ? (size_t)(at - text.at) : text.len;

        lines[n++] = (struct span){text.at, len};
        len += at != NULL;
        text.at += len;
        text.len -= len;
    }
    return n;
}

/* Insertion is stable. Returns how many lines stay. */
static size_t plain_sort(const struct ordering *ordering, struct span *lines, size_t n)
{
    size_t kept = 0;

    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && oracle_compare(ordering, lines[j - 1], lines[j]) > 0; j--) {
            struct span line = lines[j];

            lines[j] = lines[j - 1];
            lines[j - 1] = line;
        }
    for (size_t i = 0; i < n; i++)
        if (!ordering->is_unique || kept == 0 || oracle_compare(ordering, lines[kept - 1], lines[i]) != 0)
            lines[kept++] = lines[i];
    return kept;
}

static void fill(struct block *block, const struct ordering *ordering, struct span text, size_t piece)
{
    CHECK(block_open(block, ordering, CAP) == 0);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;

        CHECK(block_room(block) >= len);
        memcpy(block->text + block->have, text.at + at, len);
        block->have += len;
        CHECK(block_scan(block) == 0);
    }
    block_end_text(block);
    CHECK(block_scan(block) == 0);
    CHECK(order_block(block, 1) == 0);
}

static void same(struct span found, const struct span *expected, size_t n, char end)
{
    for (size_t i = 0; i < n; i++) {
        CHECK(found.len > expected[i].len && memcmp(found.at, expected[i].at, expected[i].len) == 0);
        CHECK(found.at[expected[i].len] == end);
        found.at += expected[i].len + 1;
        found.len -= expected[i].len + 1;
    }
    CHECK(found.len == 0);
}

/* The sorted lines of a block as a file, whose last line has no end if that can be told from no line. */
static int file_of(const struct block *block)
{
    int fd = memfd_create("sorted", 0);
    struct source source;
    struct span line;
    off_t len = 0;

    CHECK(fd >= 0);
    source_of_block(&source, block);
    for (line.len = 0; source_next(&source, &line) == SOURCE_LINE; len += (off_t)line.len + 1)
        CHECK(pwrite(fd, line.at, line.len + 1, len) == (ssize_t)line.len + 1);
    if (len > 0 && line.len > 0)
        CHECK(ftruncate(fd, len - 1) == 0);
    return fd;
}

/* Sort two parts of the text alone, and merge them: one as a file that is read through a small buffer. */
static void merged(const struct ordering *ordering, struct span text, size_t cut, char *out, size_t *len)
{
    static struct block blocks[2];
    static struct merge merge;
    static struct outputs outputs;
    struct source sources[2];
    int fd = memfd_create("merged", 0), file;
    const char *end = memchr(text.at + cut, ordering->end, text.len - cut);

    cut = end ? (size_t)(end - text.at) + 1 : text.len;
    fill(&blocks[0], ordering, (struct span){text.at, cut}, 1 + cut % 67);
    fill(&blocks[1], ordering, (struct span){text.at + cut, text.len - cut}, 1 + cut % 31);
    file = file_of(&blocks[0]);
    CHECK(source_open(&sources[0], file, ordering->end, 1 + cut % 9) == 0);
    sources[0].keeps = 1;
    source_of_block(&sources[1], &blocks[1]);
    outputs = (struct outputs){0};
    CHECK(fd >= 0 && outputs_init(&outputs, &fd, 1) == 0);
    CHECK(merge_run(&merge, ordering, sources, 2, &outputs) == 0);
    CHECK(outputs_flush(&outputs) == 0 && outputs_end(&outputs) == 0);
    *len = (size_t)pread(fd, out, LONGEST + 2, 0);
    source_close(&sources[0]);
    close(file);
    close(fd);
    block_close(&blocks[0]);
    block_close(&blocks[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ordering ordering;
    static struct span lines[LONGEST];
    static char out[LONGEST + 2];
    struct span text = {(const char *)data, size};
    struct block block;
    struct source source;
    struct span line;
    size_t used, n, len = 0;

    if (size > LONGEST || !(used = oracle_ordering(text, &ordering)) || used == size)
        return 0;
    text = (struct span){text.at + used, size - used};
    if ((n = lines_of(text, ordering.end, lines)) > LINES)
        return 0;
    n = plain_sort(&ordering, lines, n);
    fill(&block, &ordering, text, 1 + data[used]);
    source_of_block(&source, &block);
    for (; source_next(&source, &line) == SOURCE_LINE; len += line.len + 1)
        memcpy(out + len, line.at, line.len + 1);
    same((struct span){out, len}, lines, n, ordering.end);
    block_close(&block);
    if (data[used] % 8 != 0) /* merging costs much more */
        return 0;
    merged(&ordering, text, (size_t)data[used] * text.len / 256, out, &len);
    same((struct span){out, len}, lines, n, ordering.end);
    return 0;
}
