#include "shuffle/partitioner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hash/xxh3.h"
#include "sort/order.h"

enum { FIRST_ROOM = 256 };

int partitioner_open(struct partitioner *partitioner, const struct ordering *ordering, uint32_t n)
{
    *partitioner = (struct partitioner){.ordering = ordering, .n = n};
    if (ordering->n == 0)
        return 0;
    partitioner->form_room = normal_room(ordering, LINE_MAX_BYTES) + sizeof(uint64_t);
    partitioner->form =
        mmap(NULL, partitioner->form_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (partitioner->form == MAP_FAILED)
        return -1;
    if (normal_open(&partitioner->normal, ordering) == 0)
        return 0;
    munmap(partitioner->form, partitioner->form_room);
    return -1;
}

static int fail(struct partitioner *partitioner, const char *why)
{
    snprintf(partitioner->why, sizeof partitioner->why, "%s", why);
    return -1;
}

/* What a line is compared by, valid until the next one. */
static struct span key_of(const struct partitioner *partitioner, struct span line)
{
    if (partitioner->ordering->n == 0)
        return line;
    return (struct span){(char *)partitioner->form, normal_form(&partitioner->normal, line, partitioner->form)};
}

static uint64_t prefix_of(const struct partitioner *partitioner, struct span key)
{
    uint64_t word = block_word(key.at, key.len);

    return partitioner->ordering->n == 0 && (partitioner->ordering->flags & KEY_R) ? ~word : word;
}

static int make_room(struct partitioner *partitioner)
{
    uint32_t room = partitioner->room ? 2 * partitioner->room : FIRST_ROOM;
    struct border *borders;
    uint64_t *prefixes;

    if (partitioner->nborders < partitioner->room)
        return 0;
    if (!(borders = realloc(partitioner->borders, room * sizeof *borders)))
        return fail(partitioner, "no memory for the borders");
    partitioner->borders = borders;
    if (!(prefixes = realloc(partitioner->prefixes, room * sizeof *prefixes)))
        return fail(partitioner, "no memory for the borders");
    partitioner->prefixes = prefixes;
    partitioner->room = room;
    return 0;
}

static int compare(const struct partitioner *partitioner, const struct border *border, struct span key,
                   struct span line)
{
    return order_compare(partitioner->ordering, border->key, border->line, key, line);
}

/* Copy a border and its key behind it. */
static int add_border(struct partitioner *partitioner, struct span line)
{
    struct span key = key_of(partitioner, line);
    size_t key_len = partitioner->ordering->n > 0 ? key.len : 0;
    uint32_t n = partitioner->nborders;
    struct border *border;
    char *copy;
    int order = -1;

    if (n + 1 >= partitioner->n)
        return fail(partitioner, "there are more borders than lie between the partitions");
    if (make_room(partitioner) < 0)
        return -1;
    if (!(copy = malloc(line.len + key_len + 1)))
        return fail(partitioner, "no memory for the borders");
    memcpy(copy, line.at, line.len);
    memcpy(copy + line.len, key.at, key_len);
    border = &partitioner->borders[n];
    *border = (struct border){.line = {copy, line.len}, .same = n};
    border->key = key_len > 0 ? (struct span){copy + line.len, key_len} : border->line;
    partitioner->prefixes[n] = prefix_of(partitioner, key);
    partitioner->nborders++;
    if (n > 0)
        order = compare(partitioner, border - 1, border->key, border->line);
    if (order > 0)
        return fail(partitioner, "the borders are not sorted");
    if (order == 0)
        border->same = border[-1].same;
    return 0;
}

int partitioner_borders(struct partitioner *partitioner, struct source *source)
{
    enum source_result result;
    struct span line;

    partitioner->by_range = 1;
    while ((result = source_next(source, &line)) == SOURCE_LINE)
        if (add_border(partitioner, line) < 0)
            return -1;
    return result == SOURCE_END ? 0 : fail(partitioner, "the borders cannot be read");
}

/* How many of `n` sorted numbers are below another one. Without branches, which could not be predicted. */
static uint32_t count_below(const uint64_t *numbers, uint32_t n, uint64_t number)
{
    const uint64_t *at = numbers;

    while (n > 1) {
        uint32_t half = n / 2;

        at += at[half - 1] < number ? half : 0;
        n -= half;
    }
    return (uint32_t)(at - numbers) + (n == 1 && *at < number);
}

/* How many borders are not behind the line. Only those with its prefix are compared with it. */
static uint32_t rank(const struct partitioner *partitioner, uint64_t prefix, struct span key, struct span line)
{
    uint32_t low = count_below(partitioner->prefixes, partitioner->nborders, prefix);
    uint32_t high = partitioner->nborders;

    if (prefix < UINT64_MAX)
        high = low + count_below(partitioner->prefixes + low, high - low, prefix + 1);
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (compare(partitioner, &partitioner->borders[middle], key, line) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t by_range(struct partitioner *partitioner, struct span key, struct span line)
{
    const struct ordering *ordering = partitioner->ordering;
    uint64_t prefix = prefix_of(partitioner, key);
    uint32_t last = rank(partitioner, prefix, key, line);
    struct border *border;

    if (last == 0 || ordering->is_stable || ordering->is_unique || partitioner->prefixes[last - 1] != prefix)
        return last;
    border = &partitioner->borders[last - 1];
    if (compare(partitioner, border, key, line) != 0)
        return last;
    return border->same + border->turn++ % (last - border->same + 1);
}

uint32_t partitioner_choose(struct partitioner *partitioner, struct span line)
{
    struct span key = key_of(partitioner, line);

    if (partitioner->by_range)
        return by_range(partitioner, key, line);
    return (uint32_t)(xxh3_64((const unsigned char *)key.at, key.len) % partitioner->n);
}

void partitioner_close(struct partitioner *partitioner)
{
    for (uint32_t i = 0; i < partitioner->nborders; i++)
        free((char *)partitioner->borders[i].line.at);
    free(partitioner->borders);
    free(partitioner->prefixes);
    if (partitioner->ordering->n == 0)
        return;
    normal_close(&partitioner->normal);
    munmap(partitioner->form, partitioner->form_room);
}
