/*
 * fields - keys made of lines by joining some of their fields.
 *
 * A line consists of fields between delimiters, numbered from 1. Its key is the chosen fields in
 * the order of the list, joined by the delimiter; fields that the line does not have, or
 * that are empty, are left out. With list 3,1 and delimiter ",": the key of "a,b,c" is
 * "c,a", of "a,b" it is "a", of ",b" it is "".
 */
#ifndef REMORA_FIELDS_H
#define REMORA_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "hash/hash_key.h"
#include "text/span.h"

enum { FIELDS_MAX = 256 }; /* in one list */

struct fields {
    const char *delimiter;
    size_t delimiter_len;
    uint32_t listed;            /* length of the list */
    uint32_t order[FIELDS_MAX]; /* list position -> index into `wanted` */
    uint32_t distinct;
    uint32_t wanted[FIELDS_MAX];   /* the list's numbers, ascending, each once */
    struct span spans[FIELDS_MAX]; /* wanted[i] in the latest line */
};

/*
 * fields_init - take a list of `n` numbers and the delimiter, which is not copied.
 *
 * Returns 0, or -1 if there are no numbers or too many or one is 0, or if the delimiter is
 * empty or contains an end of line.
 */
int fields_init(struct fields *fields, const uint32_t *list, size_t n, const char *delimiter, size_t len);

/*
 * fields_find - find the fields of the line text[start] ... text[end - 1].
 *
 * `marks` are the delimiter marks of `text` (marks.h), or NULL to search without; they
 * serve delimiters of one byte. Returns 1 if more text after `end` could not change what
 * was found, else 0.
 */
int fields_find(struct fields *fields, const char *text, const uint64_t *marks, size_t start, size_t end);

/* fields_first - whether the key is the first field, the default, and the delimiter is a single byte, as marks need. */
static inline int fields_first(const struct fields *fields)
{
    return fields->listed == 1 && fields->wanted[0] == 1 && fields->delimiter_len == 1;
}

/* fields_room - bytes that fields_key needs for joining; 0 if the key is a part of the line. */
size_t fields_room(const struct fields *fields);

/* fields_key - the key of the latest line; `room` has the size that fields_room returned. */
struct hash_key fields_key(const struct fields *fields, char *room);

#endif
