/*
 * lines - find the end of a line, and the beginning of the next one.
 *
 * A line ends in LF, CR LF or CR, or with the end of the text. So a CR at the end of a
 * buffer is ambiguous: an LF may follow, and belong to it.
 */
#ifndef REMORA_LINES_H
#define REMORA_LINES_H

#include <stddef.h>
#include <string.h>

/*
 * lines_next - the beginning of the line after the one that ends at text[end].
 *
 * `end` is a CR or LF, or `len`. Returns 0 if it is not known yet: there is no end, or
 * the text stops at a CR, and it is not the `last`.
 */
static inline size_t lines_next(const char *text, size_t end, size_t len, int last)
{
    if (end < len && text[end] == '\n')
        return end + 1;
    if (end + 1 >= len)
        return last ? len : 0;
    return text[end + 1] == '\n' ? end + 2 : end + 1;
}

/* lines_end - the end of the first line of `text`, or `len`. */
static inline size_t lines_end(const char *text, size_t len)
{
    const char *lf = memchr(text, '\n', len);
    size_t before = lf ? (size_t)(lf - text) : len;
    const char *cr = memchr(text, '\r', before);

    return cr ? (size_t)(cr - text) : before;
}

#endif
