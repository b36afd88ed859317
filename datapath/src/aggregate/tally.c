#include "aggregate/tally.h"

#include <math.h>
#include <string.h>

const char *const tally_names[TALLY_OPS] = {"key",   "nop", "count",     "max",      "mean",  "min",
                                            "range", "sum", "ovariance", "variance", "stddev"};

/*
 * State of the exact variance, without the values: mean and squares have more bits than a
 * double, so that the result is correct to its last digit.
 */
struct exact {
    long double mean;
    long double squares; /* of the distances from the mean */
};

enum { EXACT_SIZE = sizeof(struct exact) / sizeof(double) };

#define NEEDS(part) (1u << (part))

static const unsigned NEEDED[TALLY_OPS] = {
    [TALLY_COUNT] = NEEDS(PART_COUNT),
    [TALLY_MAX] = NEEDS(PART_MAX),
    [TALLY_MEAN] = NEEDS(PART_SUM) | NEEDS(PART_COUNT),
    [TALLY_MIN] = NEEDS(PART_MIN),
    [TALLY_RANGE] = NEEDS(PART_MIN) | NEEDS(PART_MAX),
    [TALLY_SUM] = NEEDS(PART_SUM),
    [TALLY_OVARIANCE] = NEEDS(PART_MEAN) | NEEDS(PART_SQUARES) | NEEDS(PART_COUNT),
    [TALLY_VARIANCE] = NEEDS(PART_EXACT) | NEEDS(PART_COUNT),
    [TALLY_STDDEV] = NEEDS(PART_EXACT) | NEEDS(PART_COUNT),
};

static int op_named(const char *name, size_t len)
{
    for (int op = 0; op < TALLY_OPS; op++)
        if (strlen(tally_names[op]) == len && memcmp(tally_names[op], name, len) == 0)
            return op;
    return -1;
}

static void add_op(struct tally *tally, int op)
{
    if (!memchr(tally->ops, op, tally->n))
        tally->ops[tally->n++] = (unsigned char)op;
}

static void place_parts(struct tally *tally)
{
    unsigned needed = 0;

    for (size_t i = 0; i < tally->n; i++)
        needed |= NEEDED[tally->ops[i]];
    for (int part = 0; part < PARTS; part++) {
        tally->at[part] = -1;
        if (!(needed & NEEDS(part)))
            continue;
        tally->at[part] = (signed char)tally->size;
        tally->size += part == PART_EXACT ? EXACT_SIZE : 1;
    }
}

const char *tally_read(struct tally *tally, const char *list, const char **op)
{
    int alone[] = {TALLY_KEY, TALLY_NOP};
    static const char *const why[] = {"no other operations can be specified for a column marked as a key",
                                      "no other operations can be specified for a column marked nop"};
    size_t named = 0;

    *tally = (struct tally){0};
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");
        int found = op_named(at, len);

        *op = at;
        if (found < 0)
            return "unsupported operation";
        add_op(tally, found);
        named++;
        at += len;
        if (*at == '\0')
            break;
    }
    for (size_t i = 0; i < 2; i++)
        if (named > 1 && memchr(tally->ops, alone[i], tally->n))
            return why[i];
    place_parts(tally);
    return NULL;
}

void tally_begin(const struct tally *tally, double *numbers)
{
    if (tally->size > 0)
        memset(numbers, 0, tally->size * sizeof *numbers);
    if (tally->at[PART_MIN] >= 0)
        numbers[tally->at[PART_MIN]] = HUGE_VAL;
    if (tally->at[PART_MAX] >= 0)
        numbers[tally->at[PART_MAX]] = -HUGE_VAL;
}

static void add_exactly(double *numbers, double value, double count)
{
    struct exact exact;
    long double delta;

    memcpy(&exact, numbers, sizeof exact);
    delta = value - exact.mean;
    exact.mean += delta / count;
    exact.squares += delta * (value - exact.mean);
    memcpy(numbers, &exact, sizeof exact);
}

static void add_online(double *mean, double *squares, double value, double count)
{
    double delta = value - *mean;

    *mean += delta / count;
    *squares += delta * (value - *mean);
}

void tally_add(const struct tally *tally, double *numbers, double value)
{
    const signed char *at = tally->at;
    double count = 0;

    if (at[PART_COUNT] >= 0)
        count = ++numbers[at[PART_COUNT]];
    if (at[PART_SUM] >= 0)
        numbers[at[PART_SUM]] += value;
    if (at[PART_MIN] >= 0 && value < numbers[at[PART_MIN]])
        numbers[at[PART_MIN]] = value;
    if (at[PART_MAX] >= 0 && value > numbers[at[PART_MAX]])
        numbers[at[PART_MAX]] = value;
    if (at[PART_MEAN] >= 0)
        add_online(&numbers[at[PART_MEAN]], &numbers[at[PART_SQUARES]], value, count);
    if (at[PART_EXACT] >= 0)
        add_exactly(&numbers[at[PART_EXACT]], value, count);
}

static double exact_variance(const struct tally *tally, const double *numbers)
{
    struct exact exact;

    memcpy(&exact, &numbers[tally->at[PART_EXACT]], sizeof exact);
    return (double)(exact.squares / ((long double)numbers[tally->at[PART_COUNT]] - 1));
}

double tally_result(const struct tally *tally, const double *numbers, enum tally_op op)
{
    const signed char *at = tally->at;

    switch (op) {
    case TALLY_COUNT:
        return numbers[at[PART_COUNT]];
    case TALLY_MAX:
        return numbers[at[PART_MAX]];
    case TALLY_MEAN:
        return numbers[at[PART_SUM]] / numbers[at[PART_COUNT]];
    case TALLY_MIN:
        return numbers[at[PART_MIN]];
    case TALLY_RANGE:
        return fabs(numbers[at[PART_MAX]] - numbers[at[PART_MIN]]);
    case TALLY_SUM:
        return numbers[at[PART_SUM]];
    case TALLY_OVARIANCE:
        return numbers[at[PART_SQUARES]] / (numbers[at[PART_COUNT]] - 1);
    case TALLY_VARIANCE:
        return exact_variance(tally, numbers);
    case TALLY_STDDEV:
        return sqrt(exact_variance(tally, numbers));
    default:
        return 0;
    }
}
