#include "aggregate/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "hash/xxh3.h"
#include "text/number.h"

enum {
    TABLE = 1024,
    KEY_NUMBERS = 2 /* the numbers of a key column: the offset of its text in the key, and its length */
};

const struct tally *aggregate_tally(const struct aggregate_spec *spec, size_t i)
{
    return i < spec->n && spec->columns[i].n > 0 ? &spec->columns[i] : spec->others;
}

static size_t size_of(const struct tally *tally)
{
    return tally_is(tally, TALLY_KEY) ? KEY_NUMBERS : tally->size;
}

int aggregate_begin(struct aggregate *aggregate, const struct aggregate_spec *spec)
{
    *aggregate = (struct aggregate){.spec = spec, .table_size = TABLE};
    aggregate->starts = calloc(1, sizeof *aggregate->starts);
    aggregate->table = calloc(TABLE, sizeof *aggregate->table);
    return aggregate->starts && aggregate->table ? 0 : -1;
}

void aggregate_end(struct aggregate *aggregate)
{
    for (size_t i = 0; i < aggregate->n; i++) {
        free((char *)aggregate->groups[i].key.at);
        free(aggregate->groups[i].numbers);
    }
    free(aggregate->groups);
    free(aggregate->table);
    free(aggregate->starts);
    free(aggregate->values);
    free(aggregate->key);
}

/* realloc that leaves the old block in place when there is no memory. */
static int grow(void *block, size_t n, size_t size)
{
    void *old, *larger;

    memcpy(&old, block, sizeof old);
    if (!(larger = realloc(old, n * size)))
        return -1;
    memcpy(block, &larger, sizeof larger);
    return 0;
}

/* Add a column for a line that is longer than any before it. */
static int add_column(struct aggregate *aggregate)
{
    size_t column = aggregate->columns;

    if (column == aggregate->room) {
        size_t room = column ? 2 * column : 16;

        if (grow(&aggregate->starts, room + 1, sizeof *aggregate->starts) < 0 ||
            grow(&aggregate->values, room, sizeof *aggregate->values) < 0)
            return -1;
        aggregate->room = room;
    }
    aggregate->starts[column + 1] = aggregate->starts[column] + size_of(aggregate_tally(aggregate->spec, column));
    aggregate->columns++;
    return 0;
}

static inline const char *find_delimiter(struct span delimiter, const char *at, const char *end)
{
    const char *found;

    if (delimiter.len > 1) {
        found = memmem(at, (size_t)(end - at), delimiter.at, delimiter.len);
        return found ? found : end;
    }
    while (at < end && *at != *delimiter.at) /* columns are short: a call would cost more */
        at++;
    return at;
}

/* Append a key column to the key. */
static int add_key(struct aggregate *aggregate, struct span text, double place[KEY_NUMBERS], size_t *used)
{
    if (*used + text.len > aggregate->key_room) {
        size_t room = 2 * (*used + text.len) + 64;

        if (grow(&aggregate->key, room, 1) < 0)
            return -1;
        aggregate->key_room = room;
    }
    if (text.len > 0)
        memcpy(aggregate->key + *used, text.at, text.len);
    place[0] = (double)*used;
    place[1] = (double)text.len;
    *used += text.len;
    return 0;
}

/* Read all columns; changes nothing but the room to do so. */
static enum aggregate_result read_line(struct aggregate *aggregate, struct span line, size_t *columns, size_t *key_len)
{
    const char *at = line.at, *end = line.at + line.len;

    *key_len = 0;
    for (*columns = 0;; ++*columns) {
        size_t column = *columns;
        const char *stop = find_delimiter(aggregate->spec->delimiter, at, end);
        const struct tally *tally = aggregate_tally(aggregate->spec, column);

        if (column == AGGREGATE_COLUMNS)
            return AGGREGATE_WIDE;
        if (column == aggregate->columns && add_column(aggregate) < 0)
            return AGGREGATE_MEMORY;
        if (tally_is(tally, TALLY_KEY)) {
            if (add_key(aggregate, (struct span){at, (size_t)(stop - at)}, aggregate->values[column], key_len) < 0)
                return AGGREGATE_MEMORY;
        } else if (!tally_is(tally, TALLY_NOP)) {
            if (number_parse(at, (size_t)(stop - at), &aggregate->values[column][0]) == 0)
                return AGGREGATE_NUMBER;
        }
        if (stop == end)
            break;
        at = stop + aggregate->spec->delimiter.len;
    }
    ++*columns;
    return AGGREGATE_DONE;
}

static uint32_t *slot_of(const struct aggregate *aggregate, struct span key, uint64_t hash)
{
    size_t mask = aggregate->table_size - 1;
    size_t i = hash & mask;

    for (; aggregate->table[i]; i = (i + 1) & mask) {
        const struct group *group = &aggregate->groups[aggregate->table[i] - 1];

        if (group->hash == hash && group->key.len == key.len &&
            (key.len == 0 || memcmp(group->key.at, key.at, key.len) == 0))
            break;
    }
    return &aggregate->table[i];
}

/* Double the table, once it is half full. */
static int grow_table(struct aggregate *aggregate)
{
    size_t size = 2 * aggregate->table_size;
    uint32_t *table;

    if (aggregate->n < aggregate->table_size / 2)
        return 0;
    if (aggregate->n >= UINT32_MAX - 1 || !(table = calloc(size, sizeof *table)))
        return -1;
    for (size_t g = 0; g < aggregate->n; g++) {
        size_t i = aggregate->groups[g].hash & (size - 1);

        while (table[i])
            i = (i + 1) & (size - 1);
        table[i] = (uint32_t)(g + 1);
    }
    free(aggregate->table);
    aggregate->table = table;
    aggregate->table_size = size;
    return 0;
}

/* The group of a key, new if need be; NULL if there is no memory. */
static struct group *group_of(struct aggregate *aggregate, struct span key)
{
    uint64_t hash = xxh3_64((const unsigned char *)key.at, key.len);
    uint32_t *slot = slot_of(aggregate, key, hash);
    char *copy;

    if (*slot)
        return &aggregate->groups[*slot - 1];
    if (grow_table(aggregate) < 0)
        return NULL;
    if (aggregate->n == aggregate->groups_room) {
        size_t room = aggregate->n ? 2 * aggregate->n : TABLE;

        if (grow(&aggregate->groups, room, sizeof *aggregate->groups) < 0)
            return NULL;
        aggregate->groups_room = room;
    }
    if (!(copy = malloc(key.len + 1)))
        return NULL;
    if (key.len > 0)
        memcpy(copy, key.at, key.len);
    aggregate->groups[aggregate->n] = (struct group){.key = {copy, key.len}, .hash = hash};
    *slot_of(aggregate, key, hash) = (uint32_t)++aggregate->n;
    return &aggregate->groups[aggregate->n - 1];
}

static int widen(struct aggregate *aggregate, struct group *group, size_t columns)
{
    /* One more, as there may be no numbers at all. */
    if (grow(&group->numbers, aggregate->starts[columns] + 1, sizeof *group->numbers) < 0)
        return -1;
    for (; group->columns < columns; group->columns++) {
        const struct tally *tally = aggregate_tally(aggregate->spec, group->columns);

        tally_begin(tally, group->numbers + aggregate->starts[group->columns]);
    }
    return 0;
}

enum aggregate_result aggregate_add(struct aggregate *aggregate, struct span line, size_t *column)
{
    size_t columns, key_len;
    enum aggregate_result result = read_line(aggregate, line, &columns, &key_len);
    struct group *group;

    *column = columns + 1;
    if (result != AGGREGATE_DONE)
        return result;
    group = group_of(aggregate, (struct span){aggregate->key, key_len});
    if (!group || (group->columns < columns && widen(aggregate, group, columns) < 0))
        return AGGREGATE_MEMORY;
    for (size_t i = 0; i < columns; i++) {
        const struct tally *tally = aggregate_tally(aggregate->spec, i);
        double *numbers = group->numbers + aggregate->starts[i];

        if (tally_is(tally, TALLY_KEY))
            memcpy(numbers, aggregate->values[i], sizeof aggregate->values[i]);
        else
            tally_add(tally, numbers, aggregate->values[i][0]);
    }
    return AGGREGATE_DONE;
}

const double *aggregate_numbers(const struct aggregate *aggregate, const struct group *group, size_t i)
{
    return group->numbers + aggregate->starts[i];
}

struct span aggregate_text(const struct aggregate *aggregate, const struct group *group, size_t i)
{
    const double *numbers = aggregate_numbers(aggregate, group, i);

    return (struct span){group->key.at + (size_t)numbers[0], (size_t)numbers[1]};
}

/* Whether JavaScript would take the key for an array index. */
static int is_index(struct span key, uint32_t *index)
{
    uint64_t value = 0;

    if (key.len == 0 || key.len > 10 || (key.at[0] == '0' && key.len > 1))
        return 0;
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] < '0' || key.at[i] > '9')
            return 0;
        value = value * 10 + (uint64_t)(key.at[i] - '0');
    }
    *index = (uint32_t)value;
    return value < UINT32_MAX;
}

static int by_place(const void *a, const void *b)
{
    uint64_t left = ((const struct group *)a)->hash, right = ((const struct group *)b)->hash;

    return (left > right) - (left < right);
}

void aggregate_sort(struct aggregate *aggregate)
{
    int any = 0;

    /* The hash is not needed any more; the sort key takes its place. */
    for (size_t i = 0; i < aggregate->n; i++) {
        uint32_t index;

        aggregate->groups[i].hash = UINT32_MAX + (uint64_t)i;
        if (!is_index(aggregate->groups[i].key, &index))
            continue;
        aggregate->groups[i].hash = index;
        any = 1;
    }
    if (any)
        qsort(aggregate->groups, aggregate->n, sizeof *aggregate->groups, by_place);
}
