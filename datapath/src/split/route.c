#include "split/route.h"

#include "hash/md5.h"
#include "hash/xxh3.h"

void route_init(struct route *route, enum split_by by, uint32_t reducers)
{
    route->by = by;
    route->reducers = reducers;
    route->inverse = UINT64_MAX / reducers + 1;
    route->carry = (UINT64_C(1) << 32) % reducers;
}

/*
 * hash modulo the reducers, by multiplying with their inverse: the fraction of hash/reducers,
 * in 64 bits, times the reducers. Exact for hashes below 2^57, as there are at most 2^7
 * reducers; so the upper half of the hash is folded into the lower first.
 */
static inline uint32_t modulo(const struct route *route, uint64_t hash)
{
    uint64_t folded = (hash >> 32) * route->carry + (uint32_t)hash;

    return (uint32_t)((unsigned __int128)(route->inverse * folded) * route->reducers >> 64);
}

static int is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\v' || byte == '\f';
}

int route_number(const struct hash_key *key, int64_t *number)
{
    size_t i = 0;
    int64_t sign = 1;
    int digits = 0;

    while (i < key->len && is_blank(key->data[i]))
        i++;
    if (i < key->len && (key->data[i] == '-' || key->data[i] == '+'))
        sign = key->data[i++] == '-' ? -1 : 1;
    for (*number = 0; i < key->len && key->data[i] >= '0' && key->data[i] <= '9'; i++) {
        digits = 1;
        if (*number < INT32_MAX)
            *number = *number * 10 + (key->data[i] - '0');
    }
    *number *= sign;
    return digits;
}

static size_t by_index(const struct route *route, const struct hash_key *keys, size_t n, uint32_t *to)
{
    for (size_t i = 0; i < n; i++) {
        int64_t index;

        if (!route_number(&keys[i], &index) || index < 0 || index >= route->reducers)
            return i;
        to[i] = (uint32_t)index;
    }
    return n;
}

size_t route_keys(const struct route *route, const struct hash_key *keys, size_t n, uint64_t *hashes, uint32_t *to)
{
    switch (route->by) {
    case SPLIT_INDEX:
        return by_index(route, keys, n, to);
    case SPLIT_XXH3:
        xxh3_keys(keys, n, hashes);
        for (size_t i = 0; i < n; i++)
            to[i] = modulo(route, hashes[i]);
        return n;
    default:
        md5_first(keys, n, to);
        for (size_t i = 0; i < n; i++)
            to[i] = modulo(route, to[i]);
        return n;
    }
}
