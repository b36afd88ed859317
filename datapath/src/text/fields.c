#include "text/fields.h"

#include <string.h>

#include "text/marks.h"

/* Insert `number` into wanted[], in ascending order, unless it is there already. */
static void insert(struct fields *fields, uint32_t number)
{
    uint32_t at = 0;

    while (at < fields->distinct && fields->wanted[at] < number)
        at++;
    if (at < fields->distinct && fields->wanted[at] == number)
        return;
    memmove(fields->wanted + at + 1, fields->wanted + at, (fields->distinct - at) * sizeof *fields->wanted);
    fields->wanted[at] = number;
    fields->distinct++;
}

int fields_init(struct fields *fields, const uint32_t *list, size_t n, const char *delimiter, size_t len)
{
    if (n == 0 || n > FIELDS_MAX || len == 0 || memchr(delimiter, '\n', len) || memchr(delimiter, '\r', len))
        return -1;
    *fields = (struct fields){.delimiter = delimiter, .delimiter_len = len, .listed = (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        if (list[i] == 0)
            return -1;
        insert(fields, list[i]);
    }
    for (size_t i = 0; i < n; i++)
        while (fields->wanted[fields->order[i]] != list[i])
            fields->order[i]++;
    return 0;
}

static inline size_t next_delimiter(const struct fields *fields, const char *text, const uint64_t *marks, size_t from,
                                    size_t end)
{
    const char *found;

    if (marks && fields->delimiter_len == 1)
        return marks_next(marks, from, end);
    found = memmem(text + from, end - from, fields->delimiter, fields->delimiter_len);
    return found ? (size_t)(found - text) : end;
}

int fields_find(struct fields *fields, const char *text, const uint64_t *marks, size_t start, size_t end)
{
    uint32_t found = 0;

    for (uint32_t number = 1; found < fields->distinct; number++) {
        size_t stop = next_delimiter(fields, text, marks, start, end);

        if (fields->wanted[found] == number)
            fields->spans[found++] = (struct span){text + start, stop - start};
        if (stop == end) {
            while (found < fields->distinct)
                fields->spans[found++].len = 0;
            return 0;
        }
        start = stop + fields->delimiter_len;
    }
    return 1;
}

size_t fields_room(const struct fields *fields)
{
    size_t room = 0;

    if (fields->listed == 1)
        return 0;
    for (uint32_t i = 0; i < fields->listed; i++)
        room += fields->spans[fields->order[i]].len + fields->delimiter_len;
    return room;
}

struct hash_key fields_key(const struct fields *fields, char *room)
{
    char *end = room;

    if (fields->listed == 1)
        return (struct hash_key){(const unsigned char *)fields->spans[0].at, fields->spans[0].len};
    for (uint32_t i = 0; i < fields->listed; i++) {
        const struct span *span = &fields->spans[fields->order[i]];

        if (span->len == 0)
            continue;
        if (end > room)
            end = (char *)memcpy(end, fields->delimiter, fields->delimiter_len) + fields->delimiter_len;
        end = (char *)memcpy(end, span->at, span->len) + span->len;
    }
    return (struct hash_key){(const unsigned char *)room, (size_t)(end - room)};
}
