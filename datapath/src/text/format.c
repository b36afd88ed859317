#include "text/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/number.h"

/* The longest output: 1024 bits of %b, or 309 digits of %f with a point and FORMAT_PRECISION_MAX more. */
enum { ROOM = 1100 + FORMAT_PRECISION_MAX };

static const char CONVERSIONS[] = "bcdeEfFgGiosuxX";

/* Read a whole number of at most `max`; a larger one becomes max + 1. */
static const char *read_count(const char *at, const char *end, int max, int *count)
{
    for (*count = 0; at < end && *at >= '0' && *at <= '9'; at++)
        if (*count <= max)
            *count = *count * 10 + (*at - '0');
    if (*count > max)
        *count = max + 1;
    return at;
}

static const char *read_flags(struct format *format, const char *at, const char *end)
{
    for (; at < end; at++) {
        switch (*at) {
        case ' ':
        case '+':
            format->sign = format->sign == '+' ? '+' : *at;
            break;
        case '0':
            format->zeros = 1;
            break;
        case '-':
            format->left = 1;
            break;
        case '#':
            format->alternative = 1;
            break;
        default:
            return at;
        }
    }
    return at;
}

static void set_letter(struct format *format, char letter)
{
    format->is_unsigned = letter == 'u';
    format->upper = letter == 'X' || letter == 'E' || letter == 'G';
    format->letter = letter == 'i' || letter == 'u' ? 'd' : letter == 'X' ? 'x' : letter == 'F' ? 'f' : letter;
    if (letter == 'E' || letter == 'G')
        format->letter = (char)(letter | 0x20);
    if (format->left)
        format->zeros = 0;
}

/* Read the conversion after a %. Returns its end, or NULL if it is none. */
static const char *read_conversion(struct format *format, const char *at, const char *end)
{
    *format = (struct format){.before = format->before, .precision = -1};
    at = read_flags(format, at, end);
    at = read_count(at, end, FORMAT_WIDTH_MAX, &format->width);
    if (at < end && *at == '.')
        at = read_count(at + 1, end, FORMAT_PRECISION_MAX, &format->precision);
    if (at < end && strchr("hlL", *at))
        at++;
    if (at == end || *at == '\0' || !strchr(CONVERSIONS, *at))
        return NULL;
    set_letter(format, *at);
    return at + 1;
}

const char *format_read(struct format *format, const char *pattern, size_t len)
{
    const char *end = pattern + len, *at = pattern;
    struct format found;
    int seen = 0;

    *format = (struct format){.before = {pattern, len}};
    for (; at < end && (at = memchr(at, '%', (size_t)(end - at))); at++) {
        const char *after = NULL;

        if (at + 1 < end && at[1] == '%')
            after = at + 2;
        else if ((after = read_conversion(&found, at + 1, end))) {
            if (seen++)
                return "has more than one conversion";
            if (found.width > FORMAT_WIDTH_MAX || found.precision > FORMAT_PRECISION_MAX)
                return "asks for more than 1000 characters or 100 digits";
            *format = found;
            format->before = (struct span){pattern, (size_t)(at - pattern)};
            format->after = (struct span){after, (size_t)(end - after)};
        }
        at = after ? after - 1 : at;
    }
    return NULL;
}

static size_t put_zeros(char *out, int digits, size_t already)
{
    size_t zeros = digits > 0 && (size_t)digits > already ? (size_t)digits - already : 0;

    memset(out, '0', zeros);
    return zeros;
}

/* Digits of a whole number >= 0, in a base that is a power of two. */
static size_t put_base(double value, int base, int upper, char *out)
{
    const char *symbols = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char digits[ROOM];
    size_t n = 0;

    for (; value >= 1 || n == 0; value = floor(value / base))
        digits[n++] = symbols[(int)fmod(value, base)];
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* Print a whole number without sign: in base 10 as it is, in other bases as 32 bits if it was negative. */
static size_t put_whole(const struct format *format, double value, char *out)
{
    char digits[ROOM];
    int base = format->letter == 'b' ? 2 : format->letter == 'o' ? 8 : 16;
    size_t n = format->letter == 'd' ? number_print(value, digits) : put_base(value, base, format->upper, digits);
    size_t used = 0;

    if (value == 0 && format->precision == 0)
        n = 0;
    if (format->alternative && base == 16 && format->letter == 'x')
        used += (size_t)sprintf(out, format->upper ? "0X" : "0x");
    if (format->alternative && format->letter == 'o' && digits[0] != '0')
        out[used++] = '0';
    used += put_zeros(out + used, format->precision, n);
    memcpy(out + used, digits, n);
    return used + n;
}

/* The digits behind the point that the conversion leaves: negative if it rounds tens or more. */
static int decimals(const struct format *format, double value, int precision)
{
    char text[32];
    int exponent;

    if (format->letter == 'f')
        return precision;
    snprintf(text, sizeof text, "%.17e", value);
    exponent = atoi(strchr(text, 'e') + 1);
    return (format->letter == 'g' ? (precision > 0 ? precision : 1) - 1 : precision) - exponent;
}

/*
 * Move a number at the midpoint away from zero, to round it as JavaScript does: %.2f
 * prints 0.125 as 0.13. Such a number has exactly one bit more behind the point than
 * there are digits, because 10 has one factor of 2.
 */
static double out_of_middle(double value, int digits)
{
    int middle;

    if (digits >= 0)
        middle = fmod(ldexp(value, digits + 1), 2) == 1;
    else
        middle = fmod(2 * value, 2 * pow(10, -digits)) == pow(10, -digits);
    return middle ? nextafter(value, HUGE_VAL) : value;
}

static size_t put_fraction(const struct format *format, double value, char *out)
{
    int precision = format->precision < 0 ? 6 : format->precision;
    char letter = format->upper ? (char)(format->letter & ~0x20) : format->letter;
    char pattern[8];

    sprintf(pattern, "%%%s.*%c", format->alternative ? "#" : "", letter);
    value = out_of_middle(value, decimals(format, value, precision));
    return (size_t)snprintf(out, ROOM, pattern, precision, value);
}

static size_t put_text(const struct format *format, double value, char *out)
{
    size_t n = number_print(value, out);

    if (format->letter == 'c' && value >= 0 && value < 128) {
        out[0] = (char)value;
        return 1;
    }
    if (format->letter == 's' && format->precision >= 0 && n > (size_t)format->precision)
        n = (size_t)format->precision;
    return n;
}

/* Print the number without its sign; the sign, if it has one, goes to *sign. */
static size_t put_number(const struct format *format, double value, char *out, char *sign)
{
    int whole = strchr("bdox", format->letter) != NULL;

    *sign = 0;
    if (strchr("sc", format->letter) || !isfinite(value))
        return put_text(format, value, out);
    if (whole)
        value = trunc(value);
    if (whole && value < 0 && (format->is_unsigned || format->letter != 'd'))
        value += 0x1p32 * ceil(-value / 0x1p32);
    *sign = value < 0 ? '-' : format->sign;
    value = fabs(value);
    return whole ? put_whole(format, value, out) : put_fraction(format, value, out);
}

static void put_around(const struct span *text, FILE *out)
{
    for (size_t i = 0; i < text->len; i++) {
        fputc(text->at[i], out);
        i += text->at[i] == '%' && i + 1 < text->len && text->at[i + 1] == '%';
    }
}

static void pad(char with, int n, FILE *out)
{
    for (; n > 0; n--)
        fputc(with, out);
}

void format_print(const struct format *format, double value, FILE *out)
{
    char text[ROOM], sign;
    size_t prefix = 0;

    put_around(&format->before, out);
    if (!format->letter)
        return;
    size_t n = put_number(format, value, text, &sign);
    int missing = format->width - (int)n - (sign != 0);
    int zeros = format->zeros && isfinite(value) && !(strchr("bdox", format->letter) && format->precision >= 0);

    if (!format->left && !zeros)
        pad(' ', missing, out);
    if (sign)
        fputc(sign, out);
    if (zeros && format->alternative && format->letter == 'x')
        prefix = 2;
    fwrite(text, 1, prefix, out);
    if (zeros)
        pad('0', missing, out);
    fwrite(text + prefix, 1, n - prefix, out);
    if (format->left)
        pad(' ', missing, out);
    put_around(&format->after, out);
}
