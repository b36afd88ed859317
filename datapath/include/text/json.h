/*
 * json - check a line of JSON in place, and find values in it.
 *
 * A line is read to be routed, not to be changed. So no tree is built: the text is
 * checked once, from end to end, and values are then found by walking over text that is
 * known to be valid, where it suffices to count brackets and skip strings. Depth costs
 * one bit a level while checking, and nothing afterwards.
 *
 * Strings are bytes: those above 0x7f are not interpreted. json.c checks, jsonpath.c walks.
 *
 *     {"a": {"b": [1, null, "x"]}}     a.b is "1,,x", a.b.2 is "x", a is "[object Object]"
 */
#ifndef REMORA_JSON_H
#define REMORA_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "text/span.h"

struct json {
    uint64_t *open; /* the open brackets, a bit a level: 1 is an object; from malloc */
    size_t room;    /* words of it */
};

enum json_result { JSON_RIGHT, JSON_WRONG, JSON_MEMORY };

/* json_check - check that `text` is one JSON value, with only blanks around it. `json` is zero at first. */
enum json_result json_check(struct json *json, const char *text, size_t len);

/* json_free - free the memory of json_check. */
void json_free(struct json *json);

/* json_trim - a value without the blanks around it. */
struct span json_trim(const char *text, size_t len);

/*
 * json_find - the value at a dotted path, as JavaScript's `value.a.b` finds it.
 *
 * `value` is valid and trimmed. Members of an object are found by name (the last one, if
 * there are several), elements of an array by index, its number of elements as `length`.
 * A value that counts as false (null, false, 0, "") ends the path and is the result.
 * Returns 1, with the value in *found (or a `length` in *length, and found->at NULL); or
 * 0 if there is none.
 */
int json_find(struct span value, struct span path, struct span *found, size_t *length);

/*
 * json_print - a value as String(value) writes it.
 *
 * Arrays are their elements joined by commas, in which null is empty; objects are
 * "[object Object]". A half of a surrogate pair becomes U+FFFD. `out` has room for
 * JSON_GROWTH times the bytes of the value. Returns the length.
 */
size_t json_print(struct span value, char *out);

/* The worst cases: 1e20 takes four bytes and 21 to print, {} two and 15. */
enum { JSON_GROWTH = 8 };

#endif
