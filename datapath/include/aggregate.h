/*
 * aggregate - numbers in columns of text, put together by key.
 *
 * A line is columns between delimiters, every one of which counts. The key columns, one
 * after another with nothing between them, name the line's group, and the other columns
 * are numbers that are added to that group's tallies (tally.h). So memory is for groups,
 * never for lines.
 *
 * Groups are remembered in the order in which they came. A group has as many columns as
 * the longest of its lines.
 */
#ifndef REMORA_AGGREGATE_H
#define REMORA_AGGREGATE_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"
#include "tally.h"

enum { AGGREGATE_COLUMNS = 65536 }; /* of one line */

struct aggregate_spec {
    const struct tally *columns; /* of the first `n` columns; one without operations is as the others */
    size_t n;
    const struct tally *others;
    struct span delimiter;       /* not empty */
};

struct group {
    struct span key;
    uint64_t hash; /* of the key; once sorted, what was sorted by */
    size_t columns;
    double *numbers;
};

struct aggregate {
    const struct aggregate_spec *spec;
    size_t *starts;       /* where a column's numbers begin in a group; one more than there are columns */
    size_t columns;       /* of the longest line so far */
    size_t room;
    double (*values)[2];  /* of the line that is looked at: a number each, or where a key column's text begins in the key and its length */
    char *key;
    size_t key_room;
    struct group *groups; /* in the order in which they came */
    size_t n;
    size_t groups_room;
    uint32_t *table;      /* hash table of positions in `groups`, from 1; 0 is free */
    size_t table_size;    /* a power of two */
};

enum aggregate_result {
    AGGREGATE_DONE,
    AGGREGATE_NUMBER, /* a column that should be a number is none */
    AGGREGATE_WIDE,   /* more than AGGREGATE_COLUMNS columns */
    AGGREGATE_MEMORY
};

/* aggregate_begin - `spec` must live as long. Returns 0, or -1 if there is no memory. */
int aggregate_begin(struct aggregate *aggregate, const struct aggregate_spec *spec);

/* aggregate_add - one line more. Unless AGGREGATE_DONE, nothing has changed; *column is then the one, from 1. */
enum aggregate_result aggregate_add(struct aggregate *aggregate, struct span line, size_t *column);

/*
 * aggregate_sort - put groups into the order of printing. Nothing may be added afterwards.
 *
 * It is the order of a JavaScript object: keys that are whole numbers, written plainly and
 * below 2^32 - 1, come first, ascending; all others follow as they came.
 */
void aggregate_sort(struct aggregate *aggregate);

/* aggregate_tally - the operations of column `i`, from 0. */
const struct tally *aggregate_tally(const struct aggregate_spec *spec, size_t i);

/* aggregate_numbers - what a group holds for column `i` < group->columns. */
const double *aggregate_numbers(const struct aggregate *aggregate, const struct group *group, size_t i);

/* aggregate_text - of a key column: its text in the line of the group that came last. */
struct span aggregate_text(const struct aggregate *aggregate, const struct group *group, size_t i);

/* aggregate_end - free all. */
void aggregate_end(struct aggregate *aggregate);

#endif
