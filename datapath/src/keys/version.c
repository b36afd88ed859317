/*
 * The normal form of versions.
 *
 * Text and numbers take turns, beginning with text, either of which may be empty. Among
 * characters the tilde is the first of all, even before the end of the text; then come
 * letters, then the others. A number is compared by its value: zeros before it do not
 * count. The end of a text has the same byte as the end of the whole: what distinguishes
 * "a" from "a1" is the number that follows, and no number is zero.
 */
#include <string.h>

#include "keys/normal.h"

enum { TILDE = 1, STOP = 2, LETTERS = 3, OTHERS = LETTERS + 52, LONG = 0xf0 };

/* What begins a whole name: nothing, and files that are hidden. */
enum { EMPTY, DOT, DOT_DOT, HIDDEN, PLAIN };

static int is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* One byte for each that is no digit; the others are counted without digits, letters and the tilde before them. */
static unsigned char code(unsigned char byte)
{
    if (byte == '~')
        return TILDE;
    if (byte >= 'A' && byte <= 'Z')
        return (unsigned char)(LETTERS + byte - 'A');
    if (byte >= 'a' && byte <= 'z')
        return (unsigned char)(LETTERS + 26 + byte - 'a');
    return (unsigned char)(OTHERS + byte - 10 * (byte > '9') - 26 * (byte > 'Z') - 26 * (byte > 'z') - (byte > '~'));
}

static size_t put_number(const char *digits, size_t len, unsigned char *out)
{
    size_t used = 0;

    if (len < LONG) {
        out[used++] = (unsigned char)len;
    } else {
        out[used++] = LONG;
        for (int shift = 24; shift >= 0; shift -= 8)
            out[used++] = (unsigned char)(len >> shift);
    }
    memcpy(out + used, digits, len);
    return used + len;
}

static size_t put_parts(struct span text, unsigned char *out)
{
    const char *at = text.at;
    const char *end = text.at + text.len;
    size_t used = 0;

    while (at < end) {
        const char *digits;

        for (; at < end && !is_digit(*at); at++)
            out[used++] = code((unsigned char)*at);
        out[used++] = STOP;
        while (at < end && *at == '0')
            at++;
        for (digits = at; at < end && is_digit(*at); at++)
            ;
        used += put_number(digits, (size_t)(at - digits), out + used);
    }
    out[used++] = STOP;
    return used;
}

/* The length without suffixes: (\.[A-Za-z~][A-Za-z0-9~]*)* at the end. */
static size_t stem(struct span text)
{
    for (size_t i = 0;; i++) {
        size_t len = i;

        while (i + 1 < text.len && text.at[i] == '.' && (is_letter(text.at[i + 1]) || text.at[i + 1] == '~'))
            for (i += 2; i < text.len && (is_letter(text.at[i]) || is_digit(text.at[i]) || text.at[i] == '~'); i++)
                ;
        if (i >= text.len)
            return len;
    }
}

static unsigned char kind(struct span text)
{
    if (text.len == 0)
        return EMPTY;
    if (text.at[0] != '.')
        return PLAIN;
    if (text.len == 1)
        return DOT;
    return text.len == 2 && text.at[1] == '.' ? DOT_DOT : HIDDEN;
}

size_t normal_version(struct span text, unsigned char *out)
{
    size_t used = 0;

    out[used++] = kind(text);
    if (out[0] < HIDDEN)
        return used;
    used += put_parts((struct span){text.at, stem(text)}, out + used);
    return used + put_parts(text, out + used);
}
