#include "sort/radix.h"

#include <string.h>

enum {
    SPARSE_BITS = 2, /* a bucket for four entries, or fewer */
    INSERT_MAX = 20  /* entries that are sorted by insertion */
};

static void insert(struct entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct entry entry = entries[i];
        size_t j = i;

        for (; j > 0 && entries[j - 1].prefix > entry.prefix; j--)
            entries[j] = entries[j - 1];
        entries[j] = entry;
    }
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
    if (a > b)
        return b > c ? b : a < c ? a : c;
    return a > c ? a : b < c ? b : c;
}

/* Quicksort: the recursion is into the smaller part. */
void radix_few(struct entry *entries, size_t n)
{
    while (n > INSERT_MAX) {
        uint64_t pivot = median(entries[0].prefix, entries[n / 2].prefix, entries[n - 1].prefix);
        size_t low = 0, high = n - 1;

        for (;; low++, high--) {
            while (entries[low].prefix < pivot)
                low++;
            while (entries[high].prefix > pivot)
                high--;
            if (low >= high)
                break;
            entry_swap(&entries[low], &entries[high]);
        }
        high++;
        if (high < n - high) {
            radix_few(entries, high);
            entries += high;
            n -= high;
        } else {
            radix_few(entries + high, n - high);
            n = high;
        }
    }
    insert(entries, n);
}

/* The bits in which prefixes differ. */
static uint64_t differing(const struct entry *entries, size_t n)
{
    uint64_t differ = 0;

    for (size_t i = 1; i < n; i++)
        differ |= entries[i].prefix ^ entries[0].prefix;
    return differ;
}

/* The highest of the bits, as many as make the buckets few in comparison with the entries. */
static uint64_t digit_mask(uint64_t differ, size_t n)
{
    int bits = 63 - __builtin_clzll(n) - SPARSE_BITS;
    uint64_t mask = 0;

    for (bits = bits > RADIX_BITS ? RADIX_BITS : bits; bits > 0 && differ; bits--) {
        uint64_t highest = UINT64_C(1) << (63 - __builtin_clzll(differ));

        mask |= highest;
        differ ^= highest;
    }
    return mask;
}

/* A digit: the bits of a mask, next to each other. The mask has few runs of bits, each of which is moved at once. */
struct digit {
    uint64_t masks[RADIX_BITS];
    int shifts[RADIX_BITS];
    int runs;
    size_t buckets;
};

static struct digit digit_of(uint64_t mask)
{
    struct digit digit = {.buckets = (size_t)1 << __builtin_popcountll(mask)};
    int below = 0;

    while (mask) {
        int from = __builtin_ctzll(mask);
        uint64_t run = mask & ~(mask + (UINT64_C(1) << from));

        digit.masks[digit.runs] = run;
        digit.shifts[digit.runs++] = from - below;
        below += __builtin_popcountll(run);
        mask ^= run;
    }
    return digit;
}

static inline size_t digit_in(const struct digit *digit, uint64_t prefix)
{
    size_t value = 0;

    for (int i = 0; i < digit->runs; i++)
        value |= (prefix & digit->masks[i]) >> digit->shifts[i];
    return value;
}

/* Move entries to the buckets of their digits; heads[d] and heads[d + 1] are where bucket d begins and ends. */
static void permute(struct entry *entries, size_t n, const struct digit *digit, size_t *heads)
{
    size_t next[RADIX_BUCKETS];

    memset(next, 0, digit->buckets * sizeof *next);
    for (size_t i = 0; i < n; i++)
        next[digit_in(digit, entries[i].prefix)]++;
    heads[0] = 0;
    for (size_t d = 0; d < digit->buckets; d++) {
        heads[d + 1] = heads[d] + next[d];
        next[d] = heads[d];
    }
    for (size_t d = 0; d < digit->buckets; d++)
        while (next[d] < heads[d + 1]) {
            struct entry entry = entries[next[d]];
            size_t to = digit_in(digit, entry.prefix);

            while (to != d) {
                entry_swap(&entry, &entries[next[to]++]);
                to = digit_in(digit, entry.prefix);
            }
            entries[next[d]++] = entry;
        }
}

size_t radix_split(struct entry *entries, size_t n, size_t heads[RADIX_BUCKETS + 1])
{
    uint64_t differ = differing(entries, n);
    struct digit digit;

    if (!differ)
        return 1;
    digit = digit_of(digit_mask(differ, n));
    permute(entries, n, &digit, heads);
    return digit.buckets;
}
