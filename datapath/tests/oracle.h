/*
 * The order of two lines in the plainest way: key by key, each compared as it stands. Tests of normal forms and of sorts
 * compare with it.
 */
#ifndef REMORA_ORACLE_H
#define REMORA_ORACLE_H

#include <ctype.h>
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "keys/normal.h"

enum { ORACLE_KEY = 4096 + 1 };

static int oracle_sign(int64_t value)
{
    return (value > 0) - (value < 0);
}

static int oracle_bytes(struct span a, struct span b)
{
    int result = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

    return result ? oracle_sign(result) : oracle_sign((int64_t)a.len - (int64_t)b.len);
}

static size_t oracle_digits(struct span text, size_t from)
{
    size_t n = 0;

    while (from + n < text.len && isdigit((unsigned char)text.at[from + n]))
        n++;
    return n;
}

/* Compare magnitudes, which begin at a.at[i] and b.at[j]. */
static int oracle_magnitude(struct span a, size_t i, struct span b, size_t j)
{
    size_t m, n;
    int order = 0;

    while (i < a.len && a.at[i] == '0')
        i++;
    while (j < b.len && b.at[j] == '0')
        j++;
    m = oracle_digits(a, i);
    n = oracle_digits(b, j);
    if (m != n)
        return m < n ? -1 : 1;
    if ((order = memcmp(a.at + i, b.at + j, m)))
        return oracle_sign(order);
    i += m + 1;
    j += n + 1;
    m = i <= a.len && a.at[i - 1] == '.' ? oracle_digits(a, i) : 0;
    n = j <= b.len && b.at[j - 1] == '.' ? oracle_digits(b, j) : 0;
    for (size_t k = 0; k < m || k < n; k++) {
        char x = k < m ? a.at[i + k] : '0', y = k < n ? b.at[j + k] : '0';

        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static int oracle_number(struct span a, struct span b)
{
    static const struct span ZERO = {"0", 1};
    int minus_a = a.len > 0 && a.at[0] == '-', minus_b = b.len > 0 && b.at[0] == '-';
    int sign_a = oracle_magnitude(a, (size_t)minus_a, ZERO, 0) * (minus_a ? -1 : 1);
    int sign_b = oracle_magnitude(b, (size_t)minus_b, ZERO, 0) * (minus_b ? -1 : 1);

    if (sign_a != sign_b || sign_a == 0)
        return oracle_sign(sign_a - sign_b);
    return sign_a * oracle_magnitude(a, (size_t)minus_a, b, (size_t)minus_b);
}

static int oracle_unit(struct span text)
{
    static const char UNITS[] = "KMGTPEZY";
    int minus = text.len > 0 && text.at[0] == '-', order = 0;
    size_t at = (size_t)minus, end = at + oracle_digits(text, at);
    int is_zero = 1;

    if (end < text.len && text.at[end] == '.')
        end += 1 + oracle_digits(text, end + 1);
    for (; at < end; at++)
        is_zero &= text.at[at] == '0' || text.at[at] == '.';
    if (is_zero || end == text.len || !text.at[end])
        return 0;
    for (int i = 0; UNITS[i]; i++)
        if (text.at[end] == UNITS[i] || (i == 0 && text.at[end] == 'k'))
            order = i + 1;
    return minus ? -order : order;
}

static int oracle_human(struct span a, struct span b)
{
    int order = oracle_unit(a) - oracle_unit(b);

    return order ? oracle_sign(order) : oracle_number(a, b);
}

static int oracle_month_of(struct span text)
{
    static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                         "jul", "aug", "sep", "oct", "nov", "dec"};

    for (int i = 0; text.len >= 3 && i < 12; i++)
        if (tolower((unsigned char)text.at[0]) == MONTHS[i][0] && tolower((unsigned char)text.at[1]) == MONTHS[i][1] &&
            tolower((unsigned char)text.at[2]) == MONTHS[i][2])
            return i + 1;
    return 0;
}

/* The rank of what is no number, of the two NaNs, and of numbers. */
static int oracle_general_rank(const char *text, long double *value)
{
    char *end;

    *value = strtold(text, &end);
    return end == text ? 0 : !isnan(*value) ? 3 : signbit(*value) ? 1 : 2;
}

static int oracle_general(struct span a, struct span b)
{
    long double x, y;
    int rank = oracle_general_rank(a.at, &x), other = oracle_general_rank(b.at, &y);

    if (rank != other || rank < 3)
        return oracle_sign(rank - other);
    return (x > y) - (x < y);
}

static int oracle_letter(struct span text, size_t at)
{
    unsigned char byte;

    if (at == text.len)
        return -1;
    byte = (unsigned char)text.at[at];
    return isdigit(byte) ? 0 : isalpha(byte) ? byte : byte == '~' ? -2 : byte + 256;
}

static int oracle_parts(struct span a, struct span b)
{
    size_t i = 0, j = 0;

    while (i < a.len || j < b.len) {
        size_t m, n;
        int order;

        while ((i < a.len && !isdigit((unsigned char)a.at[i])) || (j < b.len && !isdigit((unsigned char)b.at[j]))) {
            if (oracle_letter(a, i) != oracle_letter(b, j))
                return oracle_letter(a, i) < oracle_letter(b, j) ? -1 : 1;
            i++, j++;
        }
        while (i < a.len && a.at[i] == '0')
            i++;
        while (j < b.len && b.at[j] == '0')
            j++;
        m = oracle_digits(a, i);
        n = oracle_digits(b, j);
        if (m != n)
            return m < n ? -1 : 1;
        if ((order = memcmp(a.at + i, b.at + j, m)))
            return oracle_sign(order);
        i += m;
        j += n;
    }
    return 0;
}

/* The shortest beginning behind which only suffixes follow, each a point, a letter or tilde, and more such or digits. */
static size_t oracle_stem(struct span text)
{
    for (size_t stem = 0;; stem++) {
        size_t at = stem;

        while (at + 1 < text.len && text.at[at] == '.' &&
               (isalpha((unsigned char)text.at[at + 1]) || text.at[at + 1] == '~'))
            for (at += 2; at < text.len && (isalnum((unsigned char)text.at[at]) || text.at[at] == '~'); at++)
                ;
        if (at == text.len)
            return stem;
    }
}

static int oracle_kind(struct span text)
{
    return text.len == 0                                    ? 0
           : text.at[0] != '.'                              ? 4
           : text.len == 1                                  ? 1
           : text.len == 2 && memcmp(text.at, "..", 2) == 0 ? 2
                                                            : 3;
}

static int oracle_version(struct span a, struct span b)
{
    int order = oracle_kind(a) - oracle_kind(b);

    if (order || oracle_kind(a) < 3)
        return oracle_sign(order);
    order = oracle_parts((struct span){a.at, oracle_stem(a)}, (struct span){b.at, oracle_stem(b)});
    return order ? order : oracle_parts(a, b);
}

/* The text of a key after its flags, with a NUL behind it. */
static struct span oracle_text(const struct key *key, struct span text, char *room)
{
    text.len = normal_translate(text, key->flags, (unsigned char *)room);
    text.at = room;
    room[text.len] = '\0';
    if (key->order == KEY_NUMBER || key->order == KEY_HUMAN || key->order == KEY_MONTH)
        while (text.len > 0 && strchr(" \t\n", *text.at) && *text.at) {
            text.at++;
            text.len--;
        }
    return text;
}

static int oracle_key(const struct ordering *ordering, const struct key *key, struct span a, struct span b)
{
    static char room_a[ORACLE_KEY], room_b[ORACLE_KEY];

    a = oracle_text(key, normal_key(ordering, key, a), room_a);
    b = oracle_text(key, normal_key(ordering, key, b), room_b);
    switch (key->order) {
    case KEY_NUMBER:
        return oracle_number(a, b);
    case KEY_HUMAN:
        return oracle_human(a, b);
    case KEY_GENERAL:
        return oracle_general(a, b);
    case KEY_MONTH:
        return oracle_sign(oracle_month_of(a) - oracle_month_of(b));
    case KEY_VERSION:
        return oracle_version(a, b);
    default:
        return oracle_bytes(a, b);
    }
}

/* oracle_keys - compare by keys alone. */
static inline int oracle_keys(const struct ordering *ordering, struct span a, struct span b)
{
    for (size_t i = 0; i < ordering->n; i++) {
        int order = oracle_key(ordering, &ordering->keys[i], a, b);

        if (order)
            return ordering->keys[i].flags & KEY_R ? -order : order;
    }
    return 0;
}

/* oracle_compare - compare as a sort does, but for positions. */
static inline int oracle_compare(const struct ordering *ordering, struct span a, struct span b)
{
    int order = oracle_keys(ordering, a, b);

    if (order || (ordering->n > 0 && (ordering->is_stable || ordering->is_unique)))
        return order;
    order = oracle_bytes(a, b);
    return ordering->flags & KEY_R ? -order : order;
}

/*
 * oracle_ordering - an ordering as a text: options, each a letter, and KEYDEFs after a colon each, ended by a line feed.
 *
 * Returns the bytes of the text, or 0 if it is none.
 */
static size_t oracle_ordering(struct span text, struct ordering *ordering)
{
    const char *end = memchr(text.at, '\n', text.len);
    char line[128], *keys = line, *key;
    char why[KEYDEF_WHY];
    size_t len = end ? (size_t)(end - text.at) : 0;

    *ordering = (struct ordering){.separator = -1, .end = '\n'};
    if (!end || len >= sizeof line || memchr(text.at, '\0', len))
        return 0;
    memcpy(line, text.at, len);
    line[len] = '\0';
    for (char *letter = strsep(&keys, ":"); *letter; letter++) {
        ordering->flags |= keydef_flag(*letter);
        ordering->is_stable |= *letter == 's';
        ordering->is_unique |= *letter == 'u';
        if (*letter == 't')
            ordering->separator = ',';
        if (*letter == 'z')
            ordering->end = '\0';
    }
    while ((key = strsep(&keys, ":")))
        if (ordering->n == KEYS_MAX || keydef_read(key, &ordering->keys[ordering->n++], why) < 0)
            return 0;
    return keydef_finish(ordering, why) < 0 ? 0 : len + 1;
}

#endif
