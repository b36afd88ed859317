/*
 * groups - sort entries by groups: those whose keys are equal so far.
 *
 * A group is divided by the 8 bytes that its entries cache, by radix (radix.h) or by
 * comparing them. Entries that are equal then load the next 8 bytes and are a group
 * again; those whose keys have ended are ordered by their whole lines, or with -s and -u
 * by position. Groups of a few entries are sorted at once.
 *
 * Groups wait on a stack. Of what a group leaves to be sorted, the largest part is taken
 * last: the others have at most half of its entries, so groups within groups are at most
 * as deep as the logarithm of all entries, however long the lines are.
 */
#ifndef REMORA_GROUPS_H
#define REMORA_GROUPS_H

#include "sort/block.h"
#include "sort/radix.h"

/* What a group's entries are being compared by. */
enum stage { BY_KEY, BY_LINE, BY_POSITION };

/* Entries that are equal up to `depth`, with prefixes from there on. */
struct group {
    struct entry *entries;
    size_t n;
    size_t depth;
    enum stage stage;
};

/* The groups that wait, for one thread. */
struct groups {
    const struct block *block;
    uint64_t flip;                   /* all bits if whole lines are ordered backwards: their prefixes have it applied */
    size_t heads[RADIX_BUCKETS + 1]; /* while a group is distributed */
    size_t pending;
    struct group of[];
};

/* groups_new - an empty stack, from malloc, for the entries that a block has now. NULL without memory. */
struct groups *groups_new(const struct block *block);

/* groups_put - add a group to be sorted. */
void groups_put(struct groups *groups, struct entry *entries, size_t n, size_t depth, enum stage stage);

/* groups_step - take the latest group, and sort it or leave smaller ones. */
void groups_step(struct groups *groups);

/* groups_finish - sort all groups. */
void groups_finish(struct groups *groups);

/* groups_compare - compare two entries as they were scanned, with positions where those decide. */
int groups_compare(const struct groups *groups, const struct entry *a, const struct entry *b);

/* groups_drop_equal - drop all but the first of equal entries, which are sorted and have equal bytes up to `depth`. */
void groups_drop_equal(const struct groups *groups, struct entry *entries, size_t n, size_t depth, enum stage stage);

/* groups_first_stage - what all entries of a block are compared by at first. */
static inline enum stage groups_first_stage(const struct block *block)
{
    return block_has_keys(block) ? BY_KEY : BY_LINE;
}

#endif
