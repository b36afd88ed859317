/* The normal forms of numbers and months. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "keys/normal.h"

enum {
    ZERO = 0x80,
    SHORT = 0x5f,  /* most digits before the point that the first byte counts itself; */
    LONG = 0xe1,   /* else this, and four bytes that count them */
    UNITLESS = 16, /* the unit of numbers without one; those of negative numbers are below */
    UNIT_MAX = 8
};

static int is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A decimal number as its digits: those before the point without zeros at their beginning, those behind it without
   zeros at their end. */
struct decimal {
    int is_negative;
    struct span whole;
    struct span fraction;
};

static struct decimal decimal_of(struct span text)
{
    struct decimal number = {0};
    const char *end = text.at + text.len;
    const char *at = text.at;

    if (at < end && *at == '-') {
        number.is_negative = 1;
        at++;
    }
    while (at < end && *at == '0')
        at++;
    number.whole.at = at;
    while (at < end && is_digit(*at))
        at++;
    number.whole.len = (size_t)(at - number.whole.at);
    if (at < end && *at == '.') {
        number.fraction.at = ++at;
        while (at < end && is_digit(*at))
            at++;
        number.fraction.len = (size_t)(at - number.fraction.at);
        while (number.fraction.len > 0 && number.fraction.at[number.fraction.len - 1] == '0')
            number.fraction.len--;
    }
    return number;
}

static size_t put_length(size_t len, unsigned char *out)
{
    if (len <= SHORT) {
        out[0] = (unsigned char)(ZERO + 1 + len);
        return 1;
    }
    out[0] = LONG;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (unsigned char)(len >> (24 - 8 * i));
    return 5;
}

/* Digits of both parts, each as 1 to 10 in half a byte, and half a byte 0 at the end. */
static size_t put_digits(const struct decimal *number, unsigned char *out)
{
    const struct span parts[] = {number->whole, number->fraction};
    size_t n = 0;

    for (int part = 0; part < 2; part++)
        for (size_t i = 0; i < parts[part].len; i++, n++) {
            unsigned digit = (unsigned)(parts[part].at[i] - '0' + 1);

            if (n % 2)
                out[n / 2] = (unsigned char)(out[n / 2] | digit);
            else
                out[n / 2] = (unsigned char)(digit << 4);
        }
    if (n % 2 == 0)
        out[n / 2] = 0;
    return n / 2 + 1;
}

static size_t put_decimal(struct span text, unsigned char *out)
{
    struct decimal number = decimal_of(text);
    size_t used;

    if (number.whole.len + number.fraction.len == 0) {
        out[0] = ZERO;
        return 1;
    }
    used = put_length(number.whole.len, out);
    used += put_digits(&number, out + used);
    if (number.is_negative)
        for (size_t i = 0; i < used; i++)
            out[i] = (unsigned char)~out[i];
    return used;
}

size_t normal_number(struct span text, unsigned char *out)
{
    return put_decimal(normal_skip_blanks(text), out);
}

/* 1 for K ... 8 for Y, 0 for anything else. */
static int unit(char letter)
{
    static const char UNITS[] = "KMGTPEZY";
    const char *at = letter ? strchr(UNITS, letter == 'k' ? 'K' : letter) : NULL;

    return at ? (int)(at - UNITS) + 1 : 0;
}

/* The unit behind the number; zero has none. Below 0 if the number is. */
static int unit_of(struct span text)
{
    const char *end = text.at + text.len;
    const char *at = text.at;
    int is_negative = at < end && *at == '-';
    char largest = '0';
    int order;

    at += is_negative;
    for (; at < end && is_digit(*at); at++)
        largest = *at > largest ? *at : largest;
    if (at < end && *at == '.')
        for (at++; at < end && is_digit(*at); at++)
            largest = *at > largest ? *at : largest;
    if (largest == '0' || at == end)
        return 0;
    order = unit(*at);
    return is_negative ? -order : order;
}

size_t normal_human(struct span text, unsigned char *out)
{
    text = normal_skip_blanks(text);
    out[0] = (unsigned char)(UNITLESS + unit_of(text));
    return 1 + put_decimal(text, out + 1);
}

size_t normal_month(struct span text, unsigned char *out)
{
    static const char MONTHS[] = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";

    text = normal_skip_blanks(text);
    out[0] = 0;
    for (int month = 0; text.len >= 3 && month < 12; month++)
        if (strncasecmp(text.at, MONTHS + 3 * month, 3) == 0)
            out[0] = (unsigned char)(month + 1);
    return 1;
}

/* What sorts before all numbers, and the sign of a number. */
enum { NO_NUMBER, NAN_BELOW, NAN_ABOVE, BELOW, ABOVE };

static size_t put_bytes(uint64_t value, int n, unsigned char *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (unsigned char)(value >> (8 * (n - 1 - i)));
    return (size_t)n;
}

/* The magnitude of a number above 0: its exponent, then its mantissa in as many words as it has. */
static size_t put_magnitude(long double value, unsigned char *out)
{
    int exponent = INT16_MAX;
    long double mantissa = isinf(value) ? 0 : frexpl(value, &exponent);
    size_t used = put_bytes((uint64_t)(exponent + INT16_MAX), 2, out);

    for (int bits = 0; bits < LDBL_MANT_DIG; bits += 64) {
        uint64_t word;

        mantissa = ldexpl(mantissa, 64);
        word = (uint64_t)mantissa;
        mantissa -= (long double)word;
        used += put_bytes(word, 8, out + used);
    }
    return used;
}

size_t normal_general(const char *text, unsigned char *out)
{
    char *end;
    long double value = strtold(text, &end);
    size_t used;

    if (end == text || isnan(value)) {
        out[0] = end == text ? NO_NUMBER : signbit(value) ? NAN_BELOW : NAN_ABOVE;
        return 1;
    }
    out[0] = value < 0 ? BELOW : ABOVE;
    if (value == 0) {
        memset(out + 1, 0, 2); /* the lowest exponent, and nothing behind it */
        return 3;
    }
    used = 1 + put_magnitude(value < 0 ? -value : value, out + 1);
    if (value < 0)
        for (size_t i = 1; i < used; i++)
            out[i] = (unsigned char)~out[i];
    return used;
}
