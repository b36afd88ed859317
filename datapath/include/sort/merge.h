/*
 * merge - sorted sources into one sorted output.
 *
 * A tree of losers (Knuth, 5.4.1): each inner node keeps the source that lost there, so
 * the next line is found by one comparison a level. Of equal lines the one of the earlier
 * source comes first.
 *
 * Most comparisons are of numbers, offset-value codes (Conner 1977; Graefe 2006): a line's
 * code says where its key differs first from the line that beat it, and what it has there, in
 * symbols of four bytes. Of two lines that lost to one line, that with the lower code comes
 * first, and the other's code by it stays the same. Only if codes are equal, keys are looked at,
 * behind what they have in common. The code of a source's next line is by the line before
 * it, so that a line out of order is found without a further comparison.
 *
 * A merge can join: some sources are dictionaries, sorted by the first keys only. Normal
 * forms make that no special case: one of fewer keys is the beginning of one of more, and
 * so comes before it. So a dictionary's lines come before all others that they belong to.
 */
#ifndef REMORA_MERGE_H
#define REMORA_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "sort/range.h"
#include "sort/source.h"
#include "split/outputs.h"

enum { MERGE_MAX = 1024 };     /* sources */
#define MERGE_ENDED UINT64_MAX /* code of a source without a further line */

/* The current line of a source. */
struct head {
    uint64_t code;   /* 0: its key is equal to that of the line that beat it; MERGE_ENDED */
    struct span key; /* the normal form, or without keys the line */
    struct span line;
    unsigned char *form; /* room for the normal form */
    size_t form_room;
    int has_begun;

    struct span last_line; /* the same of the line before */
    struct span last_key;
    unsigned char *last_form;
    size_t last_room;
};

struct merge {
    int is_strict;                     /* a source that is not sorted is a failure */
    struct range *within;              /* lines that are not in this range are a failure, too; or NULL */
    const struct ordering *dictionary; /* that of dictionaries, or NULL; lines begin with their dictionary's number */

    const struct ordering *ordering;
    struct normal normal;
    struct normal of_dictionary;
    struct source *sources;
    size_t n;
    int is_backwards;
    int is_disordered; /* some source is, since the tree was last made */
    struct head heads[MERGE_MAX];
    uint32_t losers[MERGE_MAX];
    enum source_result failed; /* SOURCE_END: nothing has failed */
    size_t culprit;            /* the source that failed */
};

/*
 * merge_run - write the lines of `n` (up to MERGE_MAX) sources to `output` (of one descriptor).
 *
 * Files must keep the line before the latest. With -u the first of equal lines. `merge` is zero, but for what says how to merge (its first members).
 * The caller flushes and ends the output. Returns 0, or -1: `failed` and `culprit` say which source failed;
 * if none, the output has.
 */
int merge_run(struct merge *merge, const struct ordering *ordering, struct source *sources, size_t n,
              struct outputs *output);

#endif
