/*
 * tally - the running aggregates of one column of one group.
 *
 * A column has a list of operations, and each needs a few numbers: a count, a sum, an
 * extreme. Operations share them (a mean is a sum and a count), so a column's tally
 * holds each once, and only those that are needed: with `sum,mean` two numbers. Their
 * positions in the tally are the same for all groups; `struct tally` has them.
 */
#ifndef REMORA_TALLY_H
#define REMORA_TALLY_H

#include <stddef.h>

enum tally_op {
    TALLY_KEY, /* no number: part of the group's key */
    TALLY_NOP, /* ignored */
    TALLY_COUNT,
    TALLY_MAX,
    TALLY_MEAN,
    TALLY_MIN,
    TALLY_RANGE,
    TALLY_SUM,
    TALLY_OVARIANCE, /* of a sample, by Welford's method in doubles */
    TALLY_VARIANCE,  /* the same, exact to the last digit of a double */
    TALLY_STDDEV,
    TALLY_OPS
};

/* tally_names - the names of the operations, in the order of the enum. */
extern const char *const tally_names[TALLY_OPS];

enum tally_part { PART_COUNT, PART_SUM, PART_MIN, PART_MAX, PART_MEAN, PART_SQUARES, PART_EXACT, PARTS };

struct tally {
    unsigned char ops[TALLY_OPS]; /* enum tally_op, each once, in the order given */
    size_t n;
    signed char at[PARTS]; /* index of each part among the numbers, -1: not kept */
    size_t size;           /* number of doubles for one column of one group */
};

/* tally_read - parse a list such as "sum,mean". Returns NULL, or what is wrong, with the operation in *op. */
const char *tally_read(struct tally *tally, const char *list, const char **op);

/* tally_is - whether `op` is the column's first operation; used for those that stand alone. */
static inline int tally_is(const struct tally *tally, enum tally_op op)
{
    return tally->ops[0] == op;
}

/* tally_begin - initialize `numbers`, of tally->size, before the first value. */
void tally_begin(const struct tally *tally, double *numbers);

/* tally_add - add a value. */
void tally_add(const struct tally *tally, double *numbers, double value);

/* tally_result - the result of one of the operations. */
double tally_result(const struct tally *tally, const double *numbers, enum tally_op op);

#endif
