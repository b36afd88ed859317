#include "keys/keydef.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char LETTERS[] = "bdfghiMnrV";
static const uint32_t BITS[] = {KEY_B, KEY_D, KEY_F, KEY_G, KEY_H, KEY_I, KEY_M, KEY_N, KEY_R, KEY_V};

/* What two flags of different rows exclude; those of one row do not. */
static const uint32_t EXCLUDING[] = {KEY_N, KEY_G, KEY_H, KEY_M, KEY_V | KEY_D | KEY_I};

enum { EXCLUSIVE = sizeof EXCLUDING / sizeof *EXCLUDING, QUOTED = 100 };

__attribute__((format(printf, 3, 4))) static int refuse(char why[KEYDEF_WHY], const char *text, const char *format, ...)
{
    char reason[KEYDEF_WHY - QUOTED - 20];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(why, KEYDEF_WHY, "\"%.*s\" is no key: %s", QUOTED, text, reason);
    return -1;
}

uint32_t keydef_flag(char letter)
{
    const char *at = letter ? strchr(LETTERS, letter) : NULL;

    return at ? BITS[at - LETTERS] : 0;
}

/* Read a number, as KEY_FAR if it is larger. Returns whether there is one. */
static int number(const char **at, uint32_t *value)
{
    uint64_t read = 0;
    const char *from = *at;

    for (; **at >= '0' && **at <= '9'; ++*at)
        if (read < KEY_FAR)
            read = read * 10 + (uint64_t)(**at - '0');
    *value = read < KEY_FAR ? (uint32_t)read : KEY_FAR;
    return *at > from;
}

/* Read the flags of a position. Returns 0, or the letter that is none. */
static char flags(const char **at, uint32_t blanks, uint32_t *found)
{
    for (; **at && **at != ','; ++*at) {
        uint32_t flag = keydef_flag(**at);

        if (!flag)
            return **at;
        *found |= flag == KEY_B ? blanks : flag;
    }
    return 0;
}

static char letter_of(uint32_t flag)
{
    for (size_t i = 0; i < sizeof BITS / sizeof *BITS; i++)
        if (BITS[i] & flag)
            return LETTERS[i];
    return '?';
}

/* The first two flags that exclude each other, if any do. */
static int clash(uint32_t found, char pair[2])
{
    int n = 0;

    for (size_t i = 0; i < EXCLUSIVE; i++)
        if ((found & EXCLUDING[i]) && n < 2)
            pair[n++] = letter_of(found & EXCLUDING[i]);
    return n == 2;
}

static enum key_order order_of(uint32_t found)
{
    return found & KEY_N   ? KEY_NUMBER
           : found & KEY_G ? KEY_GENERAL
           : found & KEY_H ? KEY_HUMAN
           : found & KEY_M ? KEY_MONTH
           : found & KEY_V ? KEY_VERSION
                           : KEY_BYTES;
}

/* F[.C] of one position; `least` is the smallest C. Returns 0, or -1 with `why`. */
static int position(const char *text, const char **at, uint32_t least, uint32_t *field, uint32_t *place,
                    char why[KEYDEF_WHY])
{
    if (!number(at, field))
        return refuse(why, text,
                      *at == text ? "it does not begin with the number of a field"
                                  : "no number of a field follows the comma");
    if (*field == 0)
        return refuse(why, text, "fields count from 1");
    --*field;
    *place = least;
    if (**at != '.')
        return 0;
    ++*at;
    if (!number(at, place))
        return refuse(why, text, "no number follows the point");
    if (*place < least)
        return refuse(why, text, "characters count from 1");
    return 0;
}

static int unknown(const char *text, char letter, char why[KEYDEF_WHY])
{
    return refuse(why, text, "%c is none of b d f g h i M n r V", letter >= ' ' && letter < 0x7f ? letter : '?');
}

int keydef_read(const char *text, struct key *key, char why[KEYDEF_WHY])
{
    const char *at = text;
    char pair[2];
    char wrong;

    *key = (struct key){.end_field = KEY_FAR};
    if (position(text, &at, 1, &key->start_field, &key->start_char, why) < 0)
        return -1;
    key->start_char--;
    if ((wrong = flags(&at, KEY_B, &key->flags)))
        return unknown(text, wrong, why);
    if (*at == ',') {
        at++;
        if (position(text, &at, 0, &key->end_field, &key->end_char, why) < 0)
            return -1;
        if ((wrong = flags(&at, KEY_END_B, &key->flags)))
            return unknown(text, wrong, why);
        if (*at)
            return refuse(why, text, "a second comma");
    }
    if (clash(key->flags, pair))
        return refuse(why, text, "%c and %c exclude each other", pair[0], pair[1]);
    key->order = order_of(key->flags);
    return 0;
}

int keydef_finish(struct ordering *ordering, char why[KEYDEF_WHY])
{
    char pair[2];

    if (clash(ordering->flags, pair)) {
        snprintf(why, KEYDEF_WHY, "options -%c and -%c exclude each other", pair[0], pair[1]);
        return -1;
    }
    if (ordering->n == 0 && (ordering->flags & ~(uint32_t)KEY_R))
        ordering->keys[ordering->n++] = (struct key){.end_field = KEY_FAR};
    for (size_t i = 0; i < ordering->n; i++) {
        struct key *key = &ordering->keys[i];

        if (key->flags == 0)
            key->flags = ordering->flags & KEY_B ? ordering->flags | KEY_END_B : ordering->flags;
        key->order = order_of(key->flags);
    }
    return 0;
}
