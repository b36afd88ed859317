/*
 * aggregate - aggregation of numbers in columns of text, grouped by key.
 *
 * A line consists of columns between delimiters, every one of which counts. The key
 * columns, concatenated, are the key of the line's group, and the other columns are
 * numbers that are added to that group's tallies (tally.h). So memory grows with the
 * number of groups, never with that of lines.
 *
 * Groups are kept in the order of their first lines. A group has as many columns as
 * the longest of its lines.
 */
#ifndef REMORA_AGGREGATE_H
#define REMORA_AGGREGATE_H

#include <stddef.h>
#include <stdint.h>

#include "aggregate/tally.h"
#include "text/span.h"

enum { AGGREGATE_COLUMNS = 65536 }; /* of one line */

struct aggregate_spec {
    const struct tally *columns; /* of the first `n` columns; one without operations is treated like `others` */
    size_t n;
    const struct tally *others;
    struct span delimiter; /* not empty */
};

struct group {
    struct span key;
    uint64_t hash; /* of the key; after sorting, the sort key */
    size_t columns;
    double *numbers;
};

struct aggregate {
    const struct aggregate_spec *spec;
    size_t *starts; /* where a column's numbers begin in a group; one more than there are columns */
    size_t columns; /* of the longest line so far */
    size_t room;
    /* Of the current line: a number each, or for a key column the offset of its text in the key and its length. */
    double (*values)[2];
    char *key;
    size_t key_room;
    struct group *groups; /* in the order of their first lines */
    size_t n;
    size_t groups_room;
    uint32_t *table;   /* hash table of positions in `groups`, from 1; 0 is free */
    size_t table_size; /* a power of two */
};

enum aggregate_result {
    AGGREGATE_DONE,
    AGGREGATE_NUMBER, /* a column that should be a number is none */
    AGGREGATE_WIDE,   /* more than AGGREGATE_COLUMNS columns */
    AGGREGATE_MEMORY
};

/* aggregate_begin - prepare; `spec` must live as long. Returns 0, or -1 if there is no memory. */
int aggregate_begin(struct aggregate *aggregate, const struct aggregate_spec *spec);

/* aggregate_add - add a line. Unless AGGREGATE_DONE, nothing has changed, and *column is the faulty one, from 1. */
enum aggregate_result aggregate_add(struct aggregate *aggregate, struct span line, size_t *column);

/*
 * aggregate_sort - sort groups for printing. No line may be added afterwards.
 *
 * The order is that of a JavaScript object: keys that are whole numbers, written plainly and
 * below 2^32 - 1, come first, ascending; all others follow in the order of their first lines.
 */
void aggregate_sort(struct aggregate *aggregate);

/* aggregate_tally - the operations of column `i`, from 0. */
const struct tally *aggregate_tally(const struct aggregate_spec *spec, size_t i);

/* aggregate_numbers - the numbers that a group has for column `i` < group->columns. */
const double *aggregate_numbers(const struct aggregate *aggregate, const struct group *group, size_t i);

/* aggregate_text - the text of a key column, in the group's latest line. */
struct span aggregate_text(const struct aggregate *aggregate, const struct group *group, size_t i);

/* aggregate_end - free all memory. */
void aggregate_end(struct aggregate *aggregate);

#endif
