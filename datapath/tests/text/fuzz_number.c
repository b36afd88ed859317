/*
 * Any text as a number, any double as text, any pattern for it.
 *
 * The first eight bytes are a double; the rest is read as a number, and as a pattern.
 */
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "text/format.h"
#include "text/number.h"

enum { HEAD = sizeof(double), TEXT = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

/* What was read as a number is what strtod makes of exactly those bytes. */
static void read_number(const char *text, size_t len)
{
    static char copy[TEXT + 1];
    double value = 0;
    size_t used = number_parse(text, len, &value);
    char *end;

    CHECK(used <= len);
    if (used == 0)
        return;
    memcpy(copy, text, used);
    copy[used] = '\0';
    CHECK(same(strtod(copy, &end), value));
    CHECK(end == copy + used);
    CHECK(number_parse(text, used, &value) == used);
}

/* What is printed is the same number when read again, and no shorter text is. */
static void print_number(double value)
{
    char text[NUMBER_ROOM], fewer[NUMBER_ROOM];
    size_t len = number_print(value, text);
    int digits = 0;
    double again;

    CHECK(len > 0 && len < NUMBER_ROOM);
    if (isnan(value)) {
        CHECK(len == 3 && memcmp(text, "NaN", 3) == 0);
        return;
    }
    CHECK(number_parse(text, len, &again) == len && again == value);
    if (isinf(value) || value == 0)
        return;
    for (size_t i = 0; i < len && text[i] != 'e'; i++)
        digits += text[i] >= '0' && text[i] <= '9' && (digits > 0 || text[i] != '0');
    for (size_t i = len; !memchr(text, 'e', len) && !memchr(text, '.', len) && text[i - 1] == '0'; i--)
        digits--; /* of a whole number, zeros at the end only show where the point is */
    CHECK(digits >= 1 && digits <= 17);
    if (digits > 1) {
        snprintf(fewer, sizeof fewer, "%.*e", digits - 2, value);
        CHECK(strtod(fewer, NULL) != value);
    }
}

/*
 * A pattern of nothing but a conversion that C has as well gives what C gives, or for a
 * number in the middle what C gives for the next one.
 */
static void compare(const struct format *format, const char *pattern, size_t len, double value, const char *got,
                    size_t n)
{
    char copy[64], expected[TEXT];

    if (len >= sizeof copy || format->before.len || format->after.len || !isfinite(value) ||
        !strchr("eg", format->letter) || strpbrk(pattern, "hlL"))
        return;
    snprintf(copy, sizeof copy, "%s", pattern);
    if ((size_t)snprintf(expected, sizeof expected, copy, value) == n && memcmp(expected, got, n) == 0)
        return;
    value = nextafter(value, value < 0 ? -HUGE_VAL : HUGE_VAL);
    CHECK((size_t)snprintf(expected, sizeof expected, copy, value) == n && memcmp(expected, got, n) == 0);
}

static void print_formatted(const char *text, size_t len, double value)
{
    static char copy[TEXT + 1];
    struct format format;
    char *got;
    size_t n;

    memcpy(copy, text, len);
    copy[len] = '\0';
    if (format_read(&format, text, len))
        return;
    FILE *out = open_memstream(&got, &n);
    CHECK(out);
    format_print(&format, value, out);
    CHECK(fclose(out) == 0);
    CHECK(n <= len + FORMAT_WIDTH_MAX + 1200);
    CHECK(!format.letter || n >= (size_t)format.width);
    if (format.letter && !memchr(text, '\0', len))
        compare(&format, copy, len, value, got, n);
    free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double value;

    if (size < HEAD || size > TEXT)
        return 0;
    memcpy(&value, data, HEAD);
    print_number(value);
    read_number((const char *)data + HEAD, size - HEAD);
    print_formatted((const char *)data + HEAD, size - HEAD, value);
    return 0;
}
