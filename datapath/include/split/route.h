/*
 * route - map keys to reducers.
 */
#ifndef REMORA_ROUTE_H
#define REMORA_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "hash/hash_key.h"
#include "split/split.h"

struct route {
    enum split_by by;
    uint32_t reducers;
    uint64_t inverse; /* 2^64 / reducers, rounded up */
    uint64_t carry;   /* 2^32 modulo reducers */
};

/* route_init - prepare for 1 ... SPLIT_REDUCERS reducers. */
void route_init(struct route *route, enum split_by by, uint32_t reducers);

/*
 * route_keys - the reducer of each of `n` keys, into to[].
 *
 * `hashes` is scratch space for `n` numbers. Returns `n`, or the position of the
 * first key that names no reducer (SPLIT_INDEX only).
 */
size_t route_keys(const struct route *route, const struct hash_key *keys, size_t n, uint64_t *hashes, uint32_t *to);

/*
 * route_number - the number that a key begins with, as the original reads it.
 *
 * Blanks, a sign, digits; the rest is ignored. Returns 1, or 0 if there is no digit.
 * A number beyond an int32_t becomes some other number beyond it.
 */
int route_number(const struct hash_key *key, int64_t *number);

#endif
