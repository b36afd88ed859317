/*
 * Any text as JSON, compared with a parser that recurses; then any path into it.
 *
 * The first line is the path, the rest is the text.
 */
#include <stdint.h>

#include "check.h"
#include "text/json.h"

enum { TEXT = 4096, DEPTH = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cursor {
    const char *at, *end;
    int too_deep;
};

static int peek(const struct cursor *c)
{
    return c->at < c->end ? (unsigned char)*c->at : -1;
}

static void skip_blanks(struct cursor *c)
{
    while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r')
        c->at++;
}

static int take(struct cursor *c, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return 0;
    c->at += len;
    return 1;
}

static int any_of(struct cursor *c, const char *bytes)
{
    if (peek(c) <= 0 || !strchr(bytes, peek(c)))
        return 0;
    c->at++;
    return 1;
}

static int digits(struct cursor *c)
{
    int n = 0;

    while (any_of(c, "0123456789"))
        n++;
    return n;
}

static int number(struct cursor *c)
{
    take(c, "-");
    if (!take(c, "0") && !digits(c))
        return 0;
    if (take(c, ".") && !digits(c))
        return 0;
    if (any_of(c, "eE")) {
        any_of(c, "+-");
        return digits(c) > 0;
    }
    return 1;
}

static int string(struct cursor *c)
{
    if (!take(c, "\""))
        return 0;
    while (!take(c, "\"")) {
        if (take(c, "\\u")) {
            for (int i = 0; i < 4; i++)
                if (!any_of(c, "0123456789abcdefABCDEF"))
                    return 0;
        } else if (take(c, "\\")) {
            if (!any_of(c, "\"\\/bfnrt"))
                return 0;
        } else if (peek(c) < 0x20) {
            return 0;
        } else {
            c->at++;
        }
    }
    return 1;
}

static int value(struct cursor *c, int depth);

static int items(struct cursor *c, int depth, const char *close, int named)
{
    skip_blanks(c);
    if (take(c, close))
        return 1;
    do {
        skip_blanks(c);
        if (named && (!string(c) || (skip_blanks(c), !take(c, ":"))))
            return 0;
        if (!value(c, depth + 1))
            return 0;
        skip_blanks(c);
    } while (take(c, ","));
    return take(c, close);
}

static int value(struct cursor *c, int depth)
{
    skip_blanks(c);
    if (depth > DEPTH) {
        c->too_deep = 1;
        return 0;
    }
    if (take(c, "{"))
        return items(c, depth, "}", 1);
    if (take(c, "["))
        return items(c, depth, "]", 0);
    return take(c, "true") || take(c, "false") || take(c, "null") || (peek(c) == '"' ? string(c) : number(c));
}

static void look(struct json *json, struct span whole, struct span path)
{
    struct span found;
    size_t length = 0;

    if (!json_find(whole, path, &found, &length))
        return;
    if (!found.at) {
        CHECK(length <= whole.len);
        return;
    }
    CHECK(found.at >= whole.at && found.at + found.len <= whole.at + whole.len && found.len > 0);
    CHECK(json_check(json, found.at, found.len) == JSON_RIGHT);
    char *text = malloc(found.len * JSON_GROWTH);
    CHECK(text && json_print(found, text) <= found.len * JSON_GROWTH);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json json = {0};
    const char *text = (const char *)data;
    const char *line = size ? memchr(text, '\n', size) : NULL;

    if (!line || size > TEXT)
        return 0;
    struct span path = {text, (size_t)(line - text)};
    size_t len = size - path.len - 1;
    struct cursor cursor = {line + 1, text + size, 0};
    int right = value(&cursor, 0);
    skip_blanks(&cursor);
    right = right && cursor.at == cursor.end;
    enum json_result result = json_check(&json, line + 1, len);
    CHECK(cursor.too_deep || result == (right ? JSON_RIGHT : JSON_WRONG));
    if (result == JSON_RIGHT) {
        struct span whole = json_trim(line + 1, len);
        char *printed = malloc(whole.len * JSON_GROWTH);

        CHECK(printed && json_print(whole, printed) <= whole.len * JSON_GROWTH);
        free(printed);
        look(&json, whole, path);
    }
    json_free(&json);
    return 0;
}
