/*
 * format - print a number by a printf pattern.
 *
 * The pattern comes from a command line and never reaches printf: it is read once, and
 * holds at most one conversion, which gets a double whatever its letter is. With %#x and
 * 255.9 that is 0xff, with %5.1f it is 255.9, with %s the number as number.h prints it.
 *
 *     struct format format;
 *     const char *wrong = format_read(&format, "%.1f%%", 6);
 *     format_print(&format, 12.25, stdout);                    -- 12.3%
 */
#ifndef REMORA_FORMAT_H
#define REMORA_FORMAT_H

#include <stddef.h>
#include <stdio.h>

#include "text/span.h"

enum { FORMAT_WIDTH_MAX = 1000, FORMAT_PRECISION_MAX = 100 };

struct format {
    struct span before; /* text around the conversion, in which %% is one % */
    struct span after;
    char letter; /* of the conversion, with `i` and `u` as `d`, `F` as `f`; 0: there is none */
    int width;
    int precision;      /* -1: none */
    unsigned upper : 1; /* the letter was a capital */
    unsigned is_unsigned : 1;
    unsigned left : 1;
    unsigned zeros : 1;
    unsigned alternative : 1;
    char sign; /* '+', ' ' or 0: printed before a number that is not negative */
};

/*
 * format_read - parse a pattern, which is not copied.
 *
 * Conversions are %, then flags of " 0+-#", a width, a precision, a length letter that is
 * ignored, and one of b c d e E f F g G i o s u x X. A % that begins none of them stands
 * for itself. Returns NULL, or what is wrong, as the end of a sentence.
 */
const char *format_read(struct format *format, const char *pattern, size_t len);

/* format_print - write `value` to `out` by the pattern. NaN and infinities are padded, never refused. */
void format_print(const struct format *format, double value, FILE *out);

#endif
