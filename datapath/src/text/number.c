#include "text/number.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIGITS = 780,      /* significant digits that can matter: no double, and no midpoint of two, has more than 768 */
    EXPONENT = 100000, /* beyond this in either direction the value is 0 or Infinity */
    EXACT_DIGITS = 19, /* digits that fit into 64 bits */
    EXACT_POWER = 22,  /* 10^22 is the last power that a double holds exactly */
    SHORT_DIGITS = 15, /* so many digits survive a conversion to double and back */
    ALL_DIGITS = 17    /* so many distinguish every double from its neighbours */
};

static const double POWERS[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A decimal number: digits, without their point, times 10^exponent. */
struct decimal {
    const char *digits; /* their beginning; a point may be among them */
    const char *end;
    int64_t significant; /* digits after leading zeros */
    uint64_t mantissa;   /* the first EXACT_DIGITS of those */
    int64_t exponent;
};

static int is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Read an exponent such as e-7, if there is one. */
static const char *read_exponent(const char *at, const char *end, int64_t *exponent)
{
    const char *digit = at + 1;
    int64_t value = 0;
    int negative = 0;

    if (at == end || (*at | 0x20) != 'e')
        return at;
    if (digit < end && (*digit == '-' || *digit == '+'))
        negative = *digit++ == '-';
    if (digit == end || !is_digit(*digit))
        return at;
    for (; digit < end && is_digit(*digit); digit++)
        if (value < EXPONENT)
            value = value * 10 + (*digit - '0');
    *exponent += negative ? -value : value;
    return digit;
}

/* Read digits, at most one point among them. Returns their end; NULL if there are none. */
static const char *read_decimal(const char *at, const char *end, struct decimal *decimal)
{
    int point = 0, any = 0;

    *decimal = (struct decimal){.digits = at};
    for (; at < end && (is_digit(*at) || (*at == '.' && !point)); at++) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        any = 1;
        decimal->exponent -= point;
        if (*at == '0' && decimal->significant == 0)
            continue;
        if (decimal->significant++ < EXACT_DIGITS)
            decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(*at - '0');
    }
    decimal->end = at;
    return any ? read_exponent(at, end, &decimal->exponent) : NULL;
}

/* Convert by strtod, without leading zeros and without digits that cannot matter. */
static double convert_digits(const struct decimal *decimal)
{
    char text[DIGITS + 24];
    int64_t exponent = decimal->exponent;
    size_t used = 0;
    int lost = 0;

    for (const char *at = decimal->digits; at < decimal->end; at++) {
        if (*at == '.' || (*at == '0' && used == 0))
            continue;
        if (used < DIGITS) {
            text[used++] = *at;
        } else {
            lost |= *at != '0';
            exponent++;
        }
    }
    if (lost) /* the lost digits are more than zero, and only that matters */
        text[used - 1] = text[used - 1] == '0' ? '1' : text[used - 1];
    exponent = exponent > EXPONENT ? EXPONENT : exponent < -EXPONENT ? -EXPONENT : exponent;
    snprintf(text + used, sizeof text - used, "e%d", (int)exponent);
    return strtod(text, NULL);
}

/* The quotient or product of two exact doubles is rounded once, and is therefore correct. */
static double convert(const struct decimal *decimal)
{
    int64_t exponent = decimal->exponent;

    if (decimal->significant == 0)
        return 0;
    if (decimal->significant > EXACT_DIGITS || decimal->mantissa > UINT64_C(1) << 53)
        return convert_digits(decimal);
    if (exponent >= 0 && exponent <= EXACT_POWER)
        return (double)decimal->mantissa * POWERS[exponent];
    if (exponent < 0 && exponent >= -EXACT_POWER)
        return (double)decimal->mantissa / POWERS[-exponent];
    return convert_digits(decimal);
}

size_t number_parse(const char *text, size_t len, double *value)
{
    static const char infinity[] = "Infinity";
    const char *at = text, *end = text + len;
    struct decimal decimal;
    int negative = 0;

    while (at < end && is_blank(*at))
        at++;
    if (at < end && (*at == '-' || *at == '+'))
        negative = *at++ == '-';
    if ((size_t)(end - at) >= sizeof infinity - 1 && memcmp(at, infinity, sizeof infinity - 1) == 0) {
        at += sizeof infinity - 1;
        *value = HUGE_VAL;
    } else {
        if (!(at = read_decimal(at, end, &decimal)))
            return 0;
        *value = convert(&decimal);
    }
    if (negative)
        *value = -*value;
    return (size_t)(at - text);
}

/* Print `value` > 0 with `n` digits as snprintf's %e: d.ddde+x. Returns whether it is `value` when read again. */
static int try_digits(double value, int n, char text[NUMBER_ROOM])
{
    snprintf(text, NUMBER_ROOM, "%.*e", n - 1, value);
    return strtod(text, NULL) == value;
}

/*
 * Find the fewest digits. A number of up to 15 digits is found at once, with zeros
 * behind it; only tiny numbers have fewer than 15 significant digits, so that each
 * length has to be tried. The neighbours of a power of two are not equally far, so with
 * 16 digits the nearest decimal may be too far on one side while another one fits on the
 * other; it is found by rounding up.
 */
static void shortest(double value, char text[NUMBER_ROOM])
{
    int fraction_bits;
    int tiny = value < 0x1p-1022 * 0x1p53;

    for (int n = tiny ? 1 : SHORT_DIGITS; n < ALL_DIGITS; n++) {
        if (try_digits(value, n, text))
            return;
        if (n > SHORT_DIGITS && frexp(value, &fraction_bits) == 0.5) {
            char *last = strchr(text, 'e') - 1;

            if (*last < '9' && (*last)++ && strtod(text, NULL) == value)
                return;
        }
    }
    try_digits(value, ALL_DIGITS, text);
}

/* Write `n` digits with the point after `point` of them (which may lie outside), as JavaScript does. */
static size_t place_point(const char *digits, int n, int point, char *out)
{
    char *at = out;

    if (point > 21 || point <= -6) {
        *at++ = digits[0];
        if (n > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, (size_t)n - 1);
            at += n - 1;
        }
        return (size_t)(at - out) + (size_t)sprintf(at, "e%+d", point - 1);
    }
    if (point <= 0) {
        memcpy(at, "0.000000", (size_t)(2 - point));
        memcpy(at + 2 - point, digits, (size_t)n);
        return (size_t)(2 - point + n);
    }
    for (int i = 0; i < n || i < point; i++) {
        if (i == point)
            *at++ = '.';
        *at++ = i < n ? digits[i] : '0';
    }
    return (size_t)(at - out);
}

size_t number_print(double value, char out[NUMBER_ROOM])
{
    char text[NUMBER_ROOM], digits[ALL_DIGITS];
    char *exponent;
    size_t sign = value < 0;
    int n = 0;

    if (isnan(value))
        return (size_t)sprintf(out, "NaN");
    if (isinf(value))
        return (size_t)sprintf(out, value < 0 ? "-Infinity" : "Infinity");
    if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        return (size_t)sprintf(out, "%lld", (long long)value);
    if (sign)
        out[0] = '-';
    shortest(fabs(value), text);
    exponent = strchr(text, 'e');
    for (const char *at = text; at < exponent; at++)
        if (is_digit(*at))
            digits[n++] = *at;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return sign + place_point(digits, n, atoi(exponent + 1) + 1, out + sign);
}
