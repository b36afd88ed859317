/*
 * xxh3 - the 64-bit XXH3 hash, without seed, as its public specification defines it.
 *
 * It is not cryptographic: a user can choose keys that collide. That unbalances the
 * reducers of this user's own job and affects no other.
 */
#ifndef REMORA_XXH3_H
#define REMORA_XXH3_H

#include <stddef.h>
#include <stdint.h>

#include "hash/hash_key.h"

/* cffi begin */
/* xxh3_64 - the hash of `len` bytes of `data`, which may be NULL when `len` is 0. */
uint64_t xxh3_64(const unsigned char *data, size_t len);

/* xxh3_keys - the hash of each of `n` keys. */
void xxh3_keys(const struct hash_key *keys, size_t n, uint64_t *hashes);
/* cffi end */

#endif
