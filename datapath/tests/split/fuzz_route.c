/*
 * Any keys to any number of reducers, compared with division and with strtoll.
 *
 * The first byte is the way, the second the number of reducers; each line is a key.
 */
#include <stdint.h>

#include "check.h"
#include "hash/md5.h"
#include "hash/xxh3.h"
#include "split/route.h"

enum { KEYS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t plain_hash(enum split_by by, const struct hash_key *key)
{
    uint32_t first;

    if (by == SPLIT_XXH3)
        return xxh3_64(key->data, key->len);
    md5_first_in(1, key, 1, &first);
    return first;
}

/* The number that a key begins with, and whether it has one, from the C library. */
static int plain_number(const struct hash_key *key, long long *number)
{
    char text[64] = {0};
    char *end;

    memcpy(text, key->data, key->len < sizeof text - 1 ? key->len : sizeof text - 1);
    for (char *at = text; *at; at++)
        if (*at == '\n' || *at == '\r') /* blanks for strtoll; a key has none */
            return -1;
    *number = strtoll(text, &end, 10);
    return end > text;
}

static void check_number(const struct hash_key *key)
{
    long long expected = 0;
    int64_t number = 0;
    int is_number = plain_number(key, &expected);

    if (is_number < 0 || key->len > 60 || memchr(key->data, '\0', key->len))
        return;
    CHECK(route_number(key, &number) == is_number);
    if (is_number && expected >= INT32_MIN && expected <= INT32_MAX)
        CHECK(number == expected);
    else if (is_number)
        CHECK(number < INT32_MIN || number > INT32_MAX || number == INT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash_key keys[KEYS];
    uint64_t hashes[KEYS];
    uint32_t to[KEYS];
    struct route route;
    size_t n = 0;

    if (size < 2)
        return 0;
    enum split_by by = (enum split_by)(data[0] % 3);
    uint32_t reducers = 1 + data[1] % SPLIT_REDUCERS;
    const uint8_t *at = data + 2, *end = data + size;
    while (n < KEYS && at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));

        stop = stop ? stop : end;
        keys[n++] = (struct hash_key){at, (size_t)(stop - at)};
        at = stop + (stop < end);
    }
    route_init(&route, by, reducers);
    size_t routed = route_keys(&route, keys, n, hashes, to);
    CHECK(routed <= n && (by == SPLIT_INDEX || routed == n));
    for (size_t i = 0; i < n; i++)
        check_number(&keys[i]);
    for (size_t i = 0; i < routed; i++) {
        int64_t number;

        CHECK(to[i] < reducers);
        if (by == SPLIT_INDEX)
            CHECK(route_number(&keys[i], &number) && to[i] == number);
        else
            CHECK(to[i] == plain_hash(by, &keys[i]) % reducers);
    }
    return 0;
}
