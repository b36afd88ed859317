/*
 * Any fields of any line, found with marks and without, and by the plainest way.
 *
 * The first byte is how many fields are listed, then come their numbers, then the length
 * of the delimiter and the delimiter; the rest is text.
 */
#include <stdint.h>

#include "check.h"
#include "text/fields.h"
#include "text/lines.h"
#include "text/marks.h"

enum { TEXT = 4096, LISTED = 8, BLOCKS = TEXT / MARKS_BLOCK };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The n-th field of the line, from 1, in the plainest way; empty if it has none. */
static struct span plain_field(struct span line, uint32_t n, struct span delimiter)
{
    const char *end = line.at + line.len;

    for (const char *at = line.at;; n--) {
        const char *stop = memmem(at, (size_t)(end - at), delimiter.at, delimiter.len);

        if (n == 1)
            return (struct span){at, (size_t)((stop ? stop : end) - at)};
        if (!stop)
            return (struct span){end, 0};
        at = stop + delimiter.len;
    }
}

static size_t plain_key(const uint32_t *list, size_t n, struct span delimiter, struct span line, char *key)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        struct span field = plain_field(line, list[i], delimiter);

        if (field.len == 0)
            continue;
        if (used > 0) {
            memcpy(key + used, delimiter.at, delimiter.len);
            used += delimiter.len;
        }
        memcpy(key + used, field.at, field.len);
        used += field.len;
    }
    return used;
}

static void same_key(const struct fields *fields, const char *expected, size_t len)
{
    static char room[LISTED * (TEXT + 256)];
    struct hash_key key;

    CHECK(fields_room(fields) <= sizeof room);
    key = fields_key(fields, room);
    CHECK(key.len == len && (len == 0 || memcmp(key.data, expected, len) == 0));
}

/* Pad as split does: marks look at whole blocks. */
static void look(struct fields *fields, const uint32_t *list, size_t n, struct span delimiter, struct span text)
{
    static char padded[TEXT + MARKS_BLOCK], expected[LISTED * (TEXT + 256)];
    uint64_t ends[BLOCKS + 2], delimiters[BLOCKS + 2], plain_ends[BLOCKS + 2], plain_delimiters[BLOCKS + 2];
    size_t blocks = (text.len + MARKS_BLOCK - 1) / MARKS_BLOCK;

    memset(padded, 0, sizeof padded);
    memcpy(padded, text.at, text.len);
    marks_find(padded, blocks, *delimiter.at, ends, delimiters);
    marks_find_plain(padded, blocks, *delimiter.at, plain_ends, plain_delimiters);
    CHECK(memcmp(ends, plain_ends, blocks * sizeof *ends) == 0);
    CHECK(memcmp(delimiters, plain_delimiters, blocks * sizeof *ends) == 0);
    ends[blocks] = delimiters[blocks] = 0;
    for (size_t start = 0; start < text.len;) {
        size_t end = start + lines_end(padded + start, text.len - start);
        size_t next = lines_next(padded, end, text.len, 1);
        size_t len = plain_key(list, n, delimiter, (struct span){padded + start, end - start}, expected);

        CHECK(next > start && next <= text.len && marks_next(ends, start, text.len) == end);
        fields_find(fields, padded, delimiters, start, end);
        same_key(fields, expected, len);
        fields_find(fields, padded, NULL, start, end);
        same_key(fields, expected, len);
        start = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields fields;
    uint32_t list[LISTED];
    size_t n = size ? data[0] % LISTED : 0;

    if (size < n + 2 || size > TEXT)
        return 0;
    for (size_t i = 0; i < n; i++)
        list[i] = data[1 + i];
    size_t delimiter_len = data[1 + n];
    if (size < n + 2 + delimiter_len)
        return 0;
    struct span delimiter = {(const char *)data + n + 2, delimiter_len};
    int wrong = n == 0 || delimiter_len == 0 || memchr(delimiter.at, '\n', delimiter_len) ||
                memchr(delimiter.at, '\r', delimiter_len);
    for (size_t i = 0; i < n; i++)
        wrong |= list[i] == 0;
    CHECK((fields_init(&fields, list, n, delimiter.at, delimiter_len) < 0) == wrong);
    if (!wrong)
        look(&fields, list, n, delimiter, (struct span){delimiter.at + delimiter_len, size - n - 2 - delimiter_len});
    return 0;
}
