/*
 * number - conversion of text to numbers and back, by the rules of JavaScript.
 *
 * The original tools are written in JavaScript, so its rules decide the value of "3
 * apples" (3) and how a mean is printed: with the fewest digits that distinguish it
 * from every other double, and without an exponent from 1e-6 up to 1e21.
 *
 *     2.6666666666666665, 8, 1e+21, 1e-7, -0.5, NaN
 */
#ifndef REMORA_NUMBER_H
#define REMORA_NUMBER_H

#include <stddef.h>

enum { NUMBER_ROOM = 32 }; /* bytes of the longest number, such as -1.2345678901234567e+300 */

/*
 * number_parse - the number that `text` begins with, as parseFloat reads it.
 *
 * Blanks, a sign, then "Infinity" or decimal digits with a point and an exponent; the
 * rest is ignored. Correctly rounded, however many digits there are. Returns the bytes
 * that were used, or 0 if it does not begin with a number.
 */
size_t number_parse(const char *text, size_t len, double *value);

/* number_print - `value` as String(value) writes it, without a NUL. Returns its length. */
size_t number_print(double value, char out[NUMBER_ROOM]);

#endif
