/*
 * keyer - the interface of code that makes keys of lines other than by joining fields.
 *
 * A split asks for the keys of many lines at once, because some keyers run in another
 * process.
 */
#ifndef REMORA_KEYER_H
#define REMORA_KEYER_H

#include <stddef.h>

#include "hash/hash_key.h"
#include "text/span.h"

enum { KEYER_WHY = 512 };

struct keyer {
    /*
     * keys - set keys[0] ... keys[n - 1] for `n` lines.
     *
     * The keys are valid until the next call. Returns 0, or -1 with the reason in `why`.
     */
    int (*keys)(struct keyer *keyer, const struct span *lines, size_t n, struct hash_key *keys);
    char why[KEYER_WHY]; /* a sentence, cut where it is too long */
};

#endif
