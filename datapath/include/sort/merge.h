/*
 * merge - sorted sources into one sorted output.
 *
 * A tree of losers (Knuth, 5.4.1): each inner node keeps the source that lost there, so
 * the next line is found by one comparison a level, mostly of cached prefixes. Of equal
 * lines the one of the earlier source comes first.
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

enum { MERGE_MAX = 1024 }; /* sources */

/* The current line of a source. */
struct head {
    uint64_t prefix;
    struct span key; /* the normal form, or without keys the line */
    struct span line;
    unsigned char *form; /* room for the normal form */
    size_t form_room;
    int ended;

    uint64_t last_prefix; /* the same of the line before, in a strict merge */
    struct span last_key;
    unsigned char *last_form;
    size_t last_room;
};

struct merge {
    int is_strict;        /* a source that is not sorted is a failure; all of them are files and keep lines */
    struct range *within; /* lines that are not in this range are a failure, too; or NULL */
    const struct ordering *dictionary; /* that of dictionaries, or NULL; lines begin with their dictionary's number */

    const struct ordering *ordering;
    struct normal normal;
    struct normal of_dictionary;
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
 * With -u the first of equal lines. `merge` is zero, but for what says how to merge (its first members).
 * The caller flushes and ends the output. Returns 0, or -1: `failed` and `culprit` say which source failed;
 * if none, the output has.
 */
int merge_run(struct merge *merge, const struct ordering *ordering, struct source *sources, size_t n,
              struct outputs *output);

#endif
