/*
 * jsonkeys - keys that are values in lines of JSON.
 *
 * The key of a line consists of the values that its paths find (json.h), as JavaScript
 * would print them, joined by the delimiter. Missing values are left out. With paths
 * id,a.b and delimiter "-" the key of {"id": 1, "a": {"b": [2]}} is "1-2", and of {"id":
 * 1} it is "1".
 */
#ifndef REMORA_JSONKEYS_H
#define REMORA_JSONKEYS_H

#include "split/keyer.h"
#include "text/json.h"

struct jsonkeys {
    struct keyer keyer;
    const struct span *paths;
    size_t npaths;
    struct span delimiter;
    struct json json;
    char *arena; /* the keys of a batch; from malloc */
    size_t used;
    size_t room;
};

/* jsonkeys_init - prepare; paths and delimiter are not copied. Use &keys->keyer; jsonkeys_end frees. */
void jsonkeys_init(struct jsonkeys *keys, const struct span *paths, size_t npaths, struct span delimiter);

void jsonkeys_end(struct jsonkeys *keys);

#endif
