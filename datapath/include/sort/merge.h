/*
 * merge - sorted sources into one sorted output.
 *
 * A tree of losers (Knuth, 5.4.1): each inner node keeps the source that lost there, so
 * the next line is found by one comparison a level, mostly of cached prefixes. Of equal
 * lines the one of the earlier source comes first.
 */
#ifndef REMORA_MERGE_H
#define REMORA_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "sort/source.h"
#include "split/outputs.h"

enum { MERGE_MAX = 256 }; /* sources */

/* The current line of a source. */
struct head {
    uint64_t prefix;
    struct span key; /* the normal form, or without keys the line */
    struct span line;
    unsigned char *form; /* room for the normal form */
    size_t form_room;
    int ended;
};

struct merge {
    const struct ordering *ordering;
    struct normal normal;
    struct source *sources;
    size_t n;
    struct head heads[MERGE_MAX];
    uint32_t losers[MERGE_MAX];
    enum source_result failed; /* SOURCE_END: nothing has failed */
    size_t culprit;            /* the source that failed */
};

/*
 * merge_run - write the lines of `n` (up to MERGE_MAX) sources to `output` (of one descriptor).
 *
 * With -u the first of equal lines. The caller flushes and ends the output. Returns 0, or
 * -1: `failed` and `culprit` say which source failed; if none, the output has.
 */
int merge_run(struct merge *merge, const struct ordering *ordering, struct source *sources, size_t n,
              struct outputs *output);

#endif
