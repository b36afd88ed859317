/*
 * normal - keys as bytes that memcmp orders.
 *
 * Comparing two numbers, months or versions costs far more than comparing bytes, and a
 * sort compares each line many times. So each line's keys are rewritten once: the normal
 * form of a line is one string for all of its keys, and two lines order as their normal
 * forms do by memcmp. No normal form is the beginning of another one, so those of several
 * keys are joined, and a key that orders backwards is the complement of its bytes.
 *
 *     bytes        as they are, with 0 and 1 escaped, and 0 at the end
 *     number       sign and number of digits before the point, then digits, two a byte
 *     human        a byte for the unit, then the number
 *     general      sign and exponent, then mantissa
 *     month        a byte
 *     version      twice, without and with suffixes: text, then a number by length and digits
 *
 * Example: by -n the lines "7 apples", "+7", "-0.50" and "07" become 82 80, 80, 7e 9f 5f...,
 * and 82 80: the first and the last are equal, and "+7" is no number and so zero.
 */
#ifndef REMORA_NORMAL_H
#define REMORA_NORMAL_H

#include <stddef.h>

#include "keys/keydef.h"
#include "text/span.h"

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 }; /* of any line that is sorted */

/* What rewriting needs; one per thread. */
struct normal {
    const struct ordering *ordering;
    unsigned char *scratch; /* a key's text, when it must be changed before it is parsed */
};

/* normal_open - prepare for an ordering with keys; it must live as long. Returns 0, or -1 without memory. */
int normal_open(struct normal *normal, const struct ordering *ordering);

void normal_close(struct normal *normal);

/* normal_room - the most bytes of any line's normal form, if the line has `len` bytes. */
size_t normal_room(const struct ordering *ordering, size_t len);

/* normal_form - write a line's normal form; `out` has room for it. Returns its length. */
size_t normal_form(const struct normal *normal, struct span line, unsigned char *out);

/* normal_key - the part of the line that a key compares, which may be empty. */
struct span normal_key(const struct ordering *ordering, const struct key *key, struct span line);

/*
 * normal_text, normal_number, normal_human, normal_general, normal_month, normal_version - the
 * normal form of one key's text. Each returns its length.
 */
size_t normal_text(struct span text, uint32_t flags, unsigned char *out);
size_t normal_number(struct span text, unsigned char *out);
size_t normal_human(struct span text, unsigned char *out);
size_t normal_month(struct span text, unsigned char *out);
size_t normal_version(struct span text, unsigned char *out);

/* normal_general - the same; the text is followed by a NUL. */
size_t normal_general(const char *text, unsigned char *out);

/* normal_translate - a key's text without what its flags ignore, and with what they fold. Returns its length. */
size_t normal_translate(struct span text, uint32_t flags, unsigned char *out);

/* normal_skip_blanks - the text without blanks (and, if lines end in NUL, line feeds) before it. */
struct span normal_skip_blanks(struct span text);

#endif
