#include <stdio.h>
#include <string.h>

#include "json_text.h"
#include "text/json.h"
#include "text/number.h"

/* The text is valid here, so every bracket and every quote has its counterpart. */

enum { PLAIN_DIGITS = 15 }; /* a whole number of at most so many digits is printed unchanged */

struct span json_trim(const char *text, size_t len)
{
    const char *end = text + len;

    text = blanks(text, end);
    while (end > text && is_blank(end[-1]))
        end--;
    return (struct span){text, (size_t)(end - text)};
}

/* The position after the string that begins at `at`. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* The position after the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;

    do {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (depth == 0 && *at != '[' && *at != '{') {
            while (at < end && !is_blank(*at) && *at != ',' && *at != ']' && *at != '}')
                at++;
            return at;
        }
        depth += *at == '[' || *at == '{';
        depth -= *at == ']' || *at == '}';
        at++;
    } while (depth > 0);
    return at;
}

/* The position after the comma or bracket that follows a value; *more says whether it was a comma. */
static const char *skip_comma(const char *at, const char *end, int *more)
{
    at = blanks(at, end);
    *more = *at == ',';
    return blanks(at + 1, end);
}

static unsigned code_unit(const char *at)
{
    return (unsigned)(hex_value(at[0]) << 12 | hex_value(at[1]) << 8 | hex_value(at[2]) << 4 | hex_value(at[3]));
}

static size_t put_utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | code); /* as many ones as there are bytes */
    return n;
}

/* Decode the escape at `at`, after its backslash, as UTF-8. Returns its end. */
static const char *unescape(const char *at, char *out, size_t *len)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char *letter = strchr(letters, *at);
    unsigned code;

    if (*at != 'u') {
        out[0] = letter ? meanings[letter - letters] : *at;
        *len = 1;
        return at + 1;
    }
    code = code_unit(at + 1);
    at += 5;
    if (code >= 0xd800 && code < 0xdc00 && at[0] == '\\' && at[1] == 'u' && (code_unit(at + 2) & 0xfc00) == 0xdc00) {
        code = 0x10000 + ((code & 0x3ff) << 10) + (code_unit(at + 2) & 0x3ff);
        at += 6;
    }
    *len = put_utf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : code, out);
    return at;
}

/* Print the text of a string, whose quotes `string` includes. */
static size_t put_string(struct span string, char *out)
{
    const char *at = string.at + 1, *end = string.at + string.len - 1;
    size_t used = 0;

    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape ? escape : end) - at), n;

        memcpy(out + used, at, plain);
        used += plain;
        at += plain;
        if (escape) {
            at = unescape(at + 1, out + used, &n);
            used += n;
        }
    }
    return used;
}

static int string_is(struct span string, struct span text)
{
    const char *at = string.at + 1, *end = string.at + string.len - 1;
    const char *want = text.at, *want_end = text.at + text.len;
    char decoded[4];
    size_t n;

    if (string.len - 2 == text.len && memcmp(at, want, text.len) == 0 && !memchr(at, '\\', text.len))
        return 1;
    while (at < end) {
        if (*at == '\\') {
            at = unescape(at + 1, decoded, &n);
        } else {
            decoded[0] = *at++;
            n = 1;
        }
        if ((size_t)(want_end - want) < n || memcmp(want, decoded, n) != 0)
            return 0;
        want += n;
    }
    return want == want_end;
}

static int find_member(struct span object, struct span name, struct span *found)
{
    const char *end = object.at + object.len;
    const char *at = blanks(object.at + 1, end);
    int more = *at != '}', any = 0;

    while (more) {
        const char *name_end = skip_string(at);
        const char *value = blanks(blanks(name_end, end) + 1, end);
        const char *value_end = skip_value(value, end);

        if (string_is((struct span){at, (size_t)(name_end - at)}, name)) {
            *found = (struct span){value, (size_t)(value_end - value)};
            any = 1;
        }
        at = skip_comma(value_end, end, &more);
    }
    return any;
}

/* Find the element with this index, or count the elements in *count if there is none. */
static int find_element(struct span array, size_t index, struct span *found, size_t *count)
{
    const char *end = array.at + array.len;
    const char *at = blanks(array.at + 1, end);
    int more = *at != ']';

    for (*count = 0; more; ++*count) {
        const char *value_end = skip_value(at, end);

        if (*count == index) {
            *found = (struct span){at, (size_t)(value_end - at)};
            return 1;
        }
        at = skip_comma(value_end, end, &more);
    }
    return 0;
}

/* Whether a name is an index: digits, without leading zeros. */
static int is_index(struct span name, size_t *index)
{
    *index = 0;
    if (name.len == 0 || name.len > PLAIN_DIGITS || (name.at[0] == '0' && name.len > 1))
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_digit(name.at[i]))
            return 0;
        *index = *index * 10 + (size_t)(name.at[i] - '0');
    }
    return 1;
}

static int counts_as_false(struct span value)
{
    double number;

    if (value.at[0] == '"')
        return value.len == 2;
    if (value.at[0] == 'n' || value.at[0] == 'f')
        return 1;
    return number_parse(value.at, value.len, &number) > 0 && number == 0;
}

/* Follow one step of a path: 1 found, 0 not, and 2 for an array's length. */
static int find_step(struct span value, struct span name, struct span *found, size_t *length)
{
    size_t index;

    if (value.at[0] == '{')
        return find_member(value, name, found);
    if (value.at[0] != '[')
        return 0;
    if (is_index(name, &index))
        return find_element(value, index, found, length);
    if (name.len != strlen("length") || memcmp(name.at, "length", name.len) != 0)
        return 0;
    find_element(value, SIZE_MAX, found, length);
    return 2;
}

int json_find(struct span value, struct span path, struct span *found, size_t *length)
{
    for (;;) {
        const char *dot = memchr(path.at, '.', path.len);
        struct span name = {path.at, dot ? (size_t)(dot - path.at) : path.len};
        int step = find_step(value, name, found, length);

        if (step == 0)
            return 0;
        if (step == 2) {
            found->at = NULL;
            return !dot || *length == 0;
        }
        if (!dot || counts_as_false(*found))
            return 1;
        value = *found;
        path = (struct span){dot + 1, path.len - name.len - 1};
    }
}

static size_t put_scalar(struct span value, char *out)
{
    double number;
    int plain = value.len <= PLAIN_DIGITS && (value.at[0] != '0' || value.len == 1);

    if (value.at[0] == '"')
        return put_string(value, out);
    for (size_t i = 0; plain && i < value.len; i++)
        plain = is_digit(value.at[i]);
    if (plain || strchr("tfn", value.at[0])) {
        memcpy(out, value.at, value.len);
        return value.len;
    }
    number_parse(value.at, value.len, &number);
    return number_print(number, out);
}

/*
 * Print an array as JavaScript joins it: nested arrays are joined in the same way, so
 * that brackets vanish and commas stay. `null` vanishes, too.
 */
static size_t put_array(struct span array, char *out)
{
    static const char object[] = "[object Object]";
    const char *at = array.at, *end = array.at + array.len;
    size_t used = 0;

    while (at < end) {
        const char *value_end;

        if (*at == '[' || *at == ']' || *at == ',' || is_blank(*at)) {
            if (*at++ == ',')
                out[used++] = ',';
            continue;
        }
        value_end = skip_value(at, end);
        if (*at == '{') {
            memcpy(out + used, object, sizeof object - 1);
            used += sizeof object - 1;
        } else if (*at != 'n') {
            used += put_scalar((struct span){at, (size_t)(value_end - at)}, out + used);
        }
        at = value_end;
    }
    return used;
}

size_t json_print(struct span value, char *out)
{
    if (value.at[0] == '{')
        return (size_t)sprintf(out, "[object Object]");
    return value.at[0] == '[' ? put_array(value, out) : put_scalar(value, out);
}
