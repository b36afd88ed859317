/*
 * marks - bit sets of the positions where lines and fields end.
 *
 * A separate search for each line's and each field's end would start a search per
 * field, and fields are short. So the text is scanned once, 64 bytes at a time: a
 * vector compare of all 64 with a byte gives 64 bits. After that, the next end is found
 * by counting zeros.
 */
#ifndef REMORA_MARKS_H
#define REMORA_MARKS_H

#include <stddef.h>
#include <stdint.h>

enum { MARKS_BLOCK = 64 }; /* bytes that one word of marks stands for */

/*
 * marks_find - mark `blocks` blocks of `text`.
 *
 * Bit i of ends[b] says that byte 64 * b + i is LF or CR; bit i of delimiters[b], that
 * it is `delimiter`.
 */
void marks_find(const char *text, size_t blocks, char delimiter, uint64_t *ends, uint64_t *delimiters);

/* marks_find_plain - the same without vectors: for every machine, and for tests to compare with. */
void marks_find_plain(const char *text, size_t blocks, char delimiter, uint64_t *ends, uint64_t *delimiters);

/*
 * marks_next - position of the first mark at or after `from`, or `limit` if there is none before it.
 *
 * Reads one word beyond the one that `limit` is in. Examines the 64 marks after `from`,
 * across blocks: most fields and lines end among them, so that processors predict the
 * branch.
 */
static inline size_t marks_next(const uint64_t *marks, size_t from, size_t limit)
{
    for (; from < limit; from += MARKS_BLOCK) {
        const uint64_t *word = marks + from / MARKS_BLOCK;
        size_t shift = from % MARKS_BLOCK;
        uint64_t bits = word[0] >> shift | word[1] << 1 << (MARKS_BLOCK - 1 - shift);

        if (bits != 0) {
            from += (size_t)__builtin_ctzll(bits);
            return from < limit ? from : limit;
        }
    }
    return limit;
}

#endif
