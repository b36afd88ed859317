#include "sort/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sort/order.h"
#include "streams/slice.h"

enum { FIRST_ROOM = 4096 };

static int open_reach(struct reach *reach, const struct ordering *ordering, size_t keys)
{
    reach->ordering = *ordering;
    if (keys > 0 && keys < ordering->n) {
        reach->ordering.n = keys;
        reach->ordering.is_stable = 1; /* nothing else divides lines that are equal by these */
    }
    return reach->ordering.n > 0 ? normal_open(&reach->normal, &reach->ordering) : 0;
}

int range_open(struct range *range, const struct ordering *ordering, size_t keys, size_t join)
{
    *range = (struct range){.room = FIRST_ROOM, .text = malloc(FIRST_ROOM + BLOCK_PAD)};
    if (!range->text || open_reach(&range->lines, ordering, keys) < 0)
        return -1;
    return join > 0 ? open_reach(&range->dictionary, ordering, join) : 0;
}

/* What a line is compared by, until the next call; its `at` is NULL without memory. */
static struct span key_of(struct reach *reach, struct span line)
{
    size_t room;

    if (reach->ordering.n == 0)
        return line;
    if ((room = normal_room(&reach->ordering, line.len) + sizeof(uint64_t)) > reach->form_room) {
        unsigned char *larger = realloc(reach->form, 2 * room);

        if (!larger)
            return (struct span){NULL, 0};
        reach->form = larger;
        reach->form_room = 2 * room;
    }
    return (struct span){(char *)reach->form, normal_form(&reach->normal, line, reach->form)};
}

/* A copy with room behind it that can be read. */
static int copy(struct span *to, struct span from)
{
    char *at = calloc(1, from.len + BLOCK_PAD);

    if (!at)
        return -1;
    memcpy(at, from.at, from.len);
    *to = (struct span){at, from.len};
    return 0;
}

static int set_edge(struct reach *reach, struct edge *edge, struct span line)
{
    struct span key;

    edge->is_there = 1;
    if (copy(&edge->line, line) < 0 || !(key = key_of(reach, edge->line)).at)
        return -1;
    return copy(&edge->key, key);
}

/* Below 0 if an edge comes before a line. */
static int compare(const struct reach *reach, const struct edge *edge, struct span key, struct span line)
{
    return order_compare(&reach->ordering, edge->key, edge->line, key, line);
}

static void drop_edge(struct edge *edge)
{
    free((char *)edge->line.at);
    free((char *)edge->key.at);
    *edge = (struct edge){0};
}

/* Take the next border: its number says whether it is an edge of the range. */
static enum source_result take_border(struct range *range, struct edge *last, struct span line, uint32_t at,
                                      uint32_t number)
{
    struct reach *reach = &range->lines;
    struct span key;

    if (last->is_there) {
        if (!(key = key_of(reach, line)).at)
            return SOURCE_MEMORY;
        if (compare(reach, last, key, line) > 0)
            return SOURCE_DISORDER;
    }
    drop_edge(last);
    if (set_edge(reach, last, line) < 0)
        return SOURCE_MEMORY;
    if (at + 1 != number && at != number)
        return SOURCE_LINE;
    if (set_edge(reach, at == number ? &reach->to : &reach->from, line) < 0)
        return SOURCE_MEMORY;
    reach = &range->dictionary;
    return reach->ordering.n == 0 || set_edge(reach, at == number ? &reach->to : &reach->from, line) == 0
               ? SOURCE_LINE
               : SOURCE_MEMORY;
}

enum source_result range_borders(struct range *range, struct source *borders, uint32_t number)
{
    enum source_result result;
    struct edge last = {0};
    struct span line;
    uint32_t at = 0;

    while ((result = source_next(borders, &line)) == SOURCE_LINE)
        if ((result = take_border(range, &last, line, at++, number)) != SOURCE_LINE)
            break;
    drop_edge(&last);
    return result;
}

/* Read the line that begins at a byte of a file, without its end. */
static enum source_result read_line(struct range *range, int fd, off_t at, off_t size, struct span *line)
{
    size_t have = 0;
    char end = range->lines.ordering.end;

    for (;;) {
        size_t want =
            size - at - (off_t)have < (off_t)(range->room - have) ? (size_t)(size - at) - have : range->room - have;
        ssize_t got = pread(fd, range->text + have, want, at + (off_t)have);
        char *found, *larger;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return SOURCE_READ;
        found = memchr(range->text + have, end, (size_t)got);
        have += (size_t)got;
        if (found || got == 0 || at + (off_t)have >= size) {
            *line = (struct span){range->text, found ? (size_t)(found - range->text) : have};
            return SOURCE_LINE;
        }
        range->offset = (uint64_t)at;
        if (have > LINE_MAX_BYTES)
            return SOURCE_LONG;
        if (have < range->room)
            continue;
        if (!(larger = realloc(range->text, 2 * range->room + BLOCK_PAD)))
            return SOURCE_MEMORY;
        range->text = larger;
        range->room *= 2;
    }
}

/* Where lines begin that are not before an edge; or, `beyond`, that come after it. */
static enum source_result search(struct range *range, struct reach *reach, const struct edge *edge, int beyond, int fd,
                                 off_t size, off_t *found)
{
    off_t low = 0, high = size, top = size; /* lines before `low` are below, none begins from `top` to `high` */

    while (low < top) {
        off_t middle = low + (top - low) / 2;
        off_t at = slice_begin(fd, middle, size, reach->ordering.end, LINE_MAX_BYTES);
        enum source_result result;
        struct span line, key;
        int order;

        range->offset = (uint64_t)middle;
        if (at < 0)
            return errno == EOVERFLOW ? SOURCE_LONG : SOURCE_READ;
        if (at >= high) {
            top = middle;
            continue;
        }
        if ((result = read_line(range, fd, at, size, &line)) != SOURCE_LINE)
            return result;
        if (!(key = key_of(reach, line)).at)
            return SOURCE_MEMORY;
        order = compare(reach, edge, key, line);
        if (order > 0 || (beyond && order == 0)) {
            low = at + (off_t)line.len + 1;
        } else {
            high = at;
            top = middle;
        }
    }
    *found = high;
    return SOURCE_LINE;
}

enum source_result range_find(struct range *range, int fd, off_t size, int of_dictionary, off_t *start, off_t *end)
{
    struct reach *reach = of_dictionary ? &range->dictionary : &range->lines;
    enum source_result result = SOURCE_LINE;

    *start = 0;
    *end = size;
    if (reach->from.is_there)
        result = search(range, reach, &reach->from, 0, fd, size, start);
    if (result == SOURCE_LINE && reach->to.is_there)
        result = search(range, reach, &reach->to, of_dictionary, fd, size, end);
    return result;
}

int range_holds(struct range *range, struct span line)
{
    struct reach *reach = &range->lines;
    struct span key = key_of(reach, line);

    if (!key.at)
        return 0;
    if (reach->from.is_there && compare(reach, &reach->from, key, line) > 0)
        return 0;
    return !reach->to.is_there || compare(reach, &reach->to, key, line) > 0;
}

static void close_reach(struct reach *reach)
{
    drop_edge(&reach->from);
    drop_edge(&reach->to);
    free(reach->form);
    normal_close(&reach->normal);
}

void range_close(struct range *range)
{
    close_reach(&range->lines);
    close_reach(&range->dictionary);
    free(range->text);
}
