/*
 * radix - sort entries by their prefixes alone.
 *
 * Text has few bits in each byte that differ from line to line: digits four, letters
 * five. A digit of this radix sort is therefore made of the highest bits in which the
 * prefixes differ at all, wherever they are, and the bits between them are skipped. The
 * fewer entries there are, the fewer bits it has.
 */
#ifndef REMORA_RADIX_H
#define REMORA_RADIX_H

#include "sort/block.h"

enum {
    RADIX_BITS = 11,
    RADIX_BUCKETS = 1 << RADIX_BITS,
    RADIX_MIN = 128 /* fewer entries are sorted faster by comparing them */
};

static inline void entry_swap(struct entry *a, struct entry *b)
{
    struct entry kept = *a;

    *a = *b;
    *b = kept;
}

/* radix_few - sort a few entries by comparing their prefixes. */
void radix_few(struct entry *entries, size_t n);

/*
 * radix_split - distribute RADIX_MIN or more entries to buckets, in place.
 *
 * Prefixes in a bucket agree in at least one bit more than all did, and are less than those in the
 * next bucket. Returns how many buckets there are, with bucket i from heads[i] to heads[i + 1]; or 1,
 * with no heads, if all prefixes are equal.
 */
size_t radix_split(struct entry *entries, size_t n, size_t heads[RADIX_BUCKETS + 1]);

#endif
