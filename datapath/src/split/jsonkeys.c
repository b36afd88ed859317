#include "split/jsonkeys.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(struct jsonkeys *keys, const char *what, const struct span *line)
{
    snprintf(keys->keyer.why, sizeof keys->keyer.why, "%s%.*s", what, line ? (int)(line->len & INT32_MAX) : 0,
             line ? line->at : "");
    return -1;
}

static int make_room(struct jsonkeys *keys, size_t need)
{
    size_t room = 2 * keys->room + need;
    char *larger;

    if (need <= keys->room - keys->used)
        return 0;
    if (!(larger = realloc(keys->arena, room)))
        return fail(keys, "a key is too long to hold in memory", NULL);
    keys->arena = larger;
    keys->room = room;
    return 0;
}

/* Append the value at the path, if there is one, to the key that began at `start` in the arena. */
static int append(struct jsonkeys *keys, struct span value, struct span path, size_t start)
{
    struct span found;
    size_t length;

    if (!json_find(value, path, &found, &length))
        return 0;
    if (make_room(keys, keys->delimiter.len + 24 + (found.at ? found.len * JSON_GROWTH : 0)) < 0)
        return -1;
    if (keys->used > start) {
        memcpy(keys->arena + keys->used, keys->delimiter.at, keys->delimiter.len);
        keys->used += keys->delimiter.len;
    }
    if (found.at)
        keys->used += json_print(found, keys->arena + keys->used);
    else
        keys->used += (size_t)sprintf(keys->arena + keys->used, "%zu", length);
    return 0;
}

/* Whether a value is a single string without escapes, which is its own key in place. */
static int is_plain(const struct jsonkeys *keys, struct span value, struct hash_key *key)
{
    struct span found;
    size_t length;

    if (keys->npaths > 1 || !json_find(value, keys->paths[0], &found, &length))
        return 0;
    if (!found.at || found.at[0] != '"' || memchr(found.at, '\\', found.len))
        return 0;
    *key = (struct hash_key){(const unsigned char *)found.at + 1, found.len - 2};
    return 1;
}

/* Make the key of one line. A key in the arena gets its address later, as the arena may move. */
static int make_key(struct jsonkeys *keys, const struct span *line, struct hash_key *key)
{
    struct span value;
    size_t start = keys->used;

    switch (json_check(&keys->json, line->at, line->len)) {
    case JSON_WRONG:
        return fail(keys, "error: input is not json: ", line);
    case JSON_MEMORY:
        return fail(keys, "no memory for a line of so many brackets", NULL);
    default:
        value = json_trim(line->at, line->len);
    }
    if (value.at[0] == 'n')
        return fail(keys, "error: input has no fields: ", &value);
    if (is_plain(keys, value, key))
        return 0;
    for (size_t i = 0; i < keys->npaths; i++)
        if (append(keys, value, keys->paths[i], start) < 0)
            return -1;
    *key = (struct hash_key){NULL, keys->used - start};
    return 0;
}

static int make_keys(struct keyer *keyer, const struct span *lines, size_t n, struct hash_key *out)
{
    struct jsonkeys *keys = (struct jsonkeys *)keyer; /* its first member */
    size_t at = 0;

    keys->used = 0;
    if (make_room(keys, 1) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (make_key(keys, &lines[i], &out[i]) < 0)
            return -1;
    for (size_t i = 0; i < n; i++) {
        if (out[i].data)
            continue;
        out[i].data = (const unsigned char *)keys->arena + at;
        at += out[i].len;
    }
    return 0;
}

void jsonkeys_init(struct jsonkeys *keys, const struct span *paths, size_t npaths, struct span delimiter)
{
    *keys = (struct jsonkeys){.keyer = {.keys = make_keys}, .paths = paths, .npaths = npaths, .delimiter = delimiter};
}

void jsonkeys_end(struct jsonkeys *keys)
{
    json_free(&keys->json);
    free(keys->arena);
}
