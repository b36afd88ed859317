/*
 * order - sort the lines of a block.
 *
 * Most significant digit first, by radix, on the 8 bytes of the key that each entry
 * caches (McIlroy, Bostic and McIlroy 1993; caching as Kärkkäinen and Rantala 2009);
 * groups.h says how.
 */
#ifndef REMORA_ORDER_H
#define REMORA_ORDER_H

#include "sort/block.h"

enum { ORDER_THREADS = 64 };

/*
 * order_block - sort the entries of a block.
 *
 * With -u all but the first line of each group of equal ones get `ref` BLOCK_DROPPED.
 * Uses up to `threads` threads, and fewer if they cannot be started. After this the
 * entries' prefixes and lengths have no meaning with keys; block_line stays right.
 * Returns 0, or -1 if there is no memory.
 */
int order_block(struct block *block, int threads);

/*
 * order_compare - compare two lines as a sort of the whole does, but for their position.
 *
 * `key_a` and `key_b` are normal forms with keys, else the lines themselves. Below 0,
 * 0 (equal: the first in the input comes first) or above.
 */
int order_compare(const struct ordering *ordering, struct span key_a, struct span line_a, struct span key_b,
                  struct span line_b);

/* order_bytes - compare as bytes, the shorter one first if it is the beginning of the other. */
static inline int order_bytes(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int result = __builtin_memcmp(a.at, b.at, common);

    return result ? result : (a.len > b.len) - (a.len < b.len);
}

#endif
