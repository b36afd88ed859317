/*
 * Any lines, sorted or not, divided by two of them into three ranges of keys, which are merged one after another: that
 * gives all lines, if they are sorted; else some range finds the line that is not.
 *
 * The first line is an ordering (oracle.h), the rest is the text. Its first two bytes choose the borders, too.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oracle.h"
#include "sort/merge.h"
#include "sort/range.h"

enum { LONGEST = 1024, LINES = 256, RANGES = 3, ROOM = 64 };

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

static int file_of(struct span text)
{
    int fd = memfd_create("text", 0);

    CHECK(fd >= 0 && pwrite(fd, text.at, text.len, 0) == (ssize_t)text.len);
    return fd;
}

static int borders_of(const struct span borders[2], char end)
{
    char text[2 * LONGEST + 2];
    size_t len = 0;

    for (int i = 0; i < 2; i++) {
        memcpy(text + len, borders[i].at, borders[i].len);
        len += borders[i].len;
        text[len++] = end;
    }
    return file_of((struct span){text, len});
}

/* Merge a range of a file into another. Returns whether its lines are in order. */
static int merge_range(const struct ordering *ordering, size_t keys, int file, size_t size, int borders,
                       uint32_t number, int out)
{
    static struct merge merge;
    static struct outputs outputs;
    struct range range;
    struct source source;
    off_t start, end;
    int result;

    CHECK(range_open(&range, ordering, keys, 0) == 0);
    CHECK(lseek(borders, 0, SEEK_SET) == 0 && source_open(&source, borders, ordering->end, ROOM) == 0);
    CHECK(range_borders(&range, &source, number) == SOURCE_END);
    source_close(&source);
    CHECK(range_find(&range, file, (off_t)size, 0, &start, &end) == SOURCE_LINE);
    CHECK(start >= 0 && start <= (off_t)size && end >= 0 && end <= (off_t)size);
    if (start > end) {
        range_close(&range);
        return 0;
    }
    CHECK(lseek(file, start, SEEK_SET) == start && source_open(&source, file, ordering->end, 1) == 0);
    source.keeps = 1;
    source_range(&source, (uint64_t)start, (uint64_t)end);
    outputs = (struct outputs){0};
    CHECK(outputs_init(&outputs, &out, 1) == 0);
    merge = (struct merge){.is_strict = 1, .within = &range};
    result = merge_run(&merge, ordering, &source, 1, &outputs);
    CHECK(result == 0 || merge.failed == SOURCE_DISORDER || merge.failed == SOURCE_OUTSIDE);
    CHECK(outputs_flush(&outputs) == 0 && outputs_end(&outputs) == 0);
    source_close(&source);
    range_close(&range);
    return result == 0;
}

static void same(int out, struct span text, char end)
{
    char found[LONGEST + 2];
    size_t wanted = text.len + (text.len > 0 && text.at[text.len - 1] != end);

    CHECK(pread(out, found, sizeof found, 0) == (ssize_t)wanted && memcmp(found, text.at, text.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ordering ordering;
    static struct span lines[LONGEST];
    struct span text = {(const char *)data, size}, chosen[2];
    size_t used, n, keys;
    int is_sorted = 1, in_order = 1, file, borders, out;

    if (size > LONGEST || !(used = oracle_ordering(text, &ordering)) || size < used + 2)
        return 0;
    ordering.is_unique = 0;
    text = (struct span){text.at + used, size - used};
    if ((n = lines_of(text, ordering.end, lines)) > LINES)
        return 0;
    keys = ordering.is_stable && ordering.n > 1 ? 1 + data[used] % ordering.n : 0;
    for (int i = 0; i < 2; i++)
        chosen[i] = lines[data[used + (size_t)i] % n];
    if (oracle_compare(&ordering, chosen[0], chosen[1]) > 0) {
        struct span first = chosen[0];

        chosen[0] = chosen[1];
        chosen[1] = first;
    }
    for (size_t i = 1; i < n; i++)
        is_sorted &= oracle_compare(&ordering, lines[i - 1], lines[i]) <= 0;
    file = file_of(text);
    borders = borders_of(chosen, ordering.end);
    out = memfd_create("merged", 0);
    CHECK(out >= 0);
    for (uint32_t number = 0; number < RANGES; number++)
        in_order &= merge_range(&ordering, keys, file, text.len, borders, number, out);
    CHECK(in_order == is_sorted);
    if (is_sorted)
        same(out, text, ordering.end);
    close(file);
    close(borders);
    close(out);
    return 0;
}
