#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"

/* Nothing is trusted here: each check_ returns the end of its element, or NULL if it is invalid. */

static const char *check_escape(const char *at, const char *end)
{
    if (at == end || *at == '\0' || !strchr("\"\\/bfnrtu", *at))
        return NULL;
    if (*at != 'u')
        return at + 1;
    for (int i = 1; i <= 4; i++)
        if (at + i >= end || hex_value(at[i]) < 0)
            return NULL;
    return at + 5;
}

static const char *check_string(const char *at, const char *end)
{
    if (at == end || *at++ != '"')
        return NULL;
    while (at && at < end) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at = check_escape(at + 1, end);
        else if ((unsigned char)*at < 0x20)
            return NULL;
        else
            at++;
    }
    return NULL;
}

static const char *check_digits(const char *at, const char *end)
{
    const char *first = at;

    while (at < end && is_digit(*at))
        at++;
    return at > first ? at : NULL;
}

static const char *check_number(const char *at, const char *end)
{
    at += *at == '-';
    at = at < end && *at == '0' ? at + 1 : check_digits(at, end);
    if (at && at < end && *at == '.')
        at = check_digits(at + 1, end);
    if (at && at < end && (*at | 0x20) == 'e') {
        at++;
        at = check_digits(at + (at < end && (*at == '-' || *at == '+')), end);
    }
    return at;
}

static const char *check_word(const char *at, const char *end, const char *word)
{
    size_t len = strlen(word);

    return (size_t)(end - at) >= len && memcmp(at, word, len) == 0 ? at + len : NULL;
}

/* Check a member's name and colon. */
static const char *check_name(const char *at, const char *end)
{
    at = check_string(blanks(at, end), end);
    at = at ? blanks(at, end) : NULL;
    return at && at < end && *at == ':' ? at + 1 : NULL;
}

static const char *check_scalar(const char *at, const char *end)
{
    switch (at < end ? *at : '\0') {
    case '"':
        return check_string(at, end);
    case 't':
        return check_word(at, end, "true");
    case 'f':
        return check_word(at, end, "false");
    case 'n':
        return check_word(at, end, "null");
    case '\0':
        return NULL;
    default:
        return check_number(at, end);
    }
}

static int open_bracket(struct json *json, size_t depth, int is_object)
{
    if (depth / 64 == json->room) {
        size_t room = json->room ? 2 * json->room : 4;
        uint64_t *larger = realloc(json->open, room * sizeof *larger);

        if (!larger)
            return -1;
        json->open = larger;
        json->room = room;
    }
    json->open[depth / 64] &= ~(UINT64_C(1) << depth % 64);
    json->open[depth / 64] |= (uint64_t)is_object << depth % 64;
    return 0;
}

static int is_object(const struct json *json, size_t depth)
{
    return json->open[(depth - 1) / 64] >> (depth - 1) % 64 & 1;
}

/*
 * After a value: close what ends here, up to the comma that another value follows, or to
 * the end of all.
 */
static const char *check_after(const struct json *json, size_t *depth, const char *at, const char *end)
{
    for (at = blanks(at, end); *depth > 0; at = blanks(at + 1, end)) {
        int object = is_object(json, *depth);

        if (at < end && *at == ',')
            return object ? check_name(at + 1, end) : at + 1;
        if (at == end || *at != (object ? '}' : ']'))
            return NULL;
        --*depth;
    }
    return at == end ? at : NULL;
}

enum json_result json_check(struct json *json, const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    size_t depth = 0;

    do {
        at = blanks(at, end);
        if (at < end && (*at == '{' || *at == '[')) {
            int object = *at == '{';

            if (open_bracket(json, depth++, object) < 0)
                return JSON_MEMORY;
            at = blanks(at + 1, end);
            if (at == end || *at != (object ? '}' : ']')) {
                at = object ? check_name(at, end) : at;
                continue;
            }
        } else {
            at = check_scalar(at, end);
        }
        at = at ? check_after(json, &depth, at, end) : NULL;
    } while (at && depth > 0);
    return at ? JSON_RIGHT : JSON_WRONG;
}

void json_free(struct json *json)
{
    free(json->open);
    *json = (struct json){0};
}
