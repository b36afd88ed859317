#include "sort/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sort/order.h"

enum { SYMBOL = 4 /* bytes */ };

static int fail(struct merge *merge, size_t source, enum source_result why)
{
    merge->failed = why;
    merge->culprit = source;
    return -1;
}

/* Write the normal form of a source's line. Returns 0, or -1 without memory. */
static int rewrite(const struct normal *normal, struct head *head)
{
    size_t room = normal_room(normal->ordering, head->line.len) + sizeof(uint64_t);

    if (room > head->form_room) {
        unsigned char *larger = realloc(head->form, 2 * room);

        if (!larger)
            return -1;
        head->form = larger;
        head->form_room = 2 * room;
    }
    head->key = (struct span){(char *)head->form, normal_form(normal, head->line, head->form)};
    return 0;
}

/* Keep the current line's key, to compare the next one with. */
static void remember(struct head *head)
{
    unsigned char *form = head->last_form;
    size_t room = head->last_room;

    head->last_line = head->line;
    head->last_key = head->key;
    head->last_form = head->form;
    head->last_room = head->form_room;
    head->form = form;
    head->form_room = room;
}

/* The code of a key that differs from what it is compared with in a symbol, and in none before. */
static uint64_t code_at(const struct merge *merge, struct span key, size_t symbol)
{
    size_t at = symbol * SYMBOL, rest = key.len > at ? key.len - at : 0;
    uint32_t value = 0;

    if (rest > 0)
        memcpy(&value, key.at + at, sizeof value);
    value = __builtin_bswap32(value);
    if (rest < SYMBOL)
        value = rest == 0 ? 0 : value & ~(UINT32_MAX >> (8 * rest));
    return (uint64_t)(UINT32_MAX - 1 - symbol) << 32 | (merge->is_backwards ? ~value : value);
}

static size_t symbol_of(uint64_t code)
{
    return UINT32_MAX - 1 - (size_t)(code >> 32);
}

/* Where two keys differ first, which is not before `at`. */
static size_t mismatch(struct span a, struct span b, size_t at)
{
    size_t common = a.len < b.len ? a.len : b.len;

    for (uint64_t x, y; at + sizeof x <= common; at += sizeof x) {
        memcpy(&x, a.at + at, sizeof x);
        memcpy(&y, b.at + at, sizeof y);
        if (x != y)
            return at + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (at < common && a.at[at] == b.at[at])
        at++;
    return at;
}

/* Compare keys that are equal before *at, which becomes where they differ. */
static int compare_keys(const struct merge *merge, struct span a, struct span b, size_t *at)
{
    int result;

    *at = mismatch(a, b, *at);
    if (*at < a.len && *at < b.len)
        result = (unsigned char)a.at[*at] < (unsigned char)b.at[*at] ? -1 : 1;
    else
        result = (a.len > b.len) - (a.len < b.len);
    return merge->is_backwards ? -result : result;
}

/* Compare lines whose keys are equal. */
static int compare_lines(const struct ordering *ordering, struct span a, struct span b)
{
    int result;

    if (ordering->n == 0 || ordering->is_stable || ordering->is_unique)
        return 0;
    result = order_bytes(a, b);
    return ordering->flags & KEY_R ? -result : result;
}

/* Let the code of a source's next line be that by the line before it. Returns whether it comes before that one. */
static int follow(const struct merge *merge, const struct source *source, struct head *head)
{
    struct span before = source->block ? head->last_line : source_before(source);
    size_t at = 0;
    int result = compare_keys(merge, merge->ordering->n > 0 ? head->last_key : before, head->key, &at);

    head->code = result ? code_at(merge, head->key, at / SYMBOL) : 0;
    return (result ? result : compare_lines(merge->ordering, before, head->line)) > 0;
}

/* Whether the latest line of a source, or after its end the last, is outside of the range that is merged. */
static int is_outside(const struct merge *merge, const struct source *source, const struct head *head)
{
    int is_ended = head->code == MERGE_ENDED;

    if (!merge->within || source->lines == 0 || (source->lines > 1 && !is_ended))
        return 0; /* lines between the first and the last are in the range if these are */
    return !range_holds(merge->within, is_ended ? source_before(source) : head->line);
}

/* Take the next line of a source. */
static int advance(struct merge *merge, size_t i)
{
    struct head *head = &merge->heads[i];
    struct source *source = &merge->sources[i];
    enum source_result result;
    int is_first = !head->has_begun, is_disordered = 0;

    remember(head);
    result = source_next(source, &head->line);
    if (result != SOURCE_LINE && result != SOURCE_END)
        return fail(merge, i, result);
    head->has_begun = 1;
    if (result == SOURCE_END) {
        head->code = MERGE_ENDED;
        return is_outside(merge, source, head) ? fail(merge, i, SOURCE_OUTSIDE) : 0;
    }
    if (merge->ordering->n == 0)
        head->key = head->line;
    else if (rewrite(source->dictionary ? &merge->of_dictionary : &merge->normal, head) < 0)
        return fail(merge, i, SOURCE_MEMORY);
    if (is_first)
        head->code = code_at(merge, head->key, 0);
    else
        is_disordered = follow(merge, source, head);
    merge->is_disordered |= is_disordered;
    if (merge->is_strict && is_disordered)
        return fail(merge, i, SOURCE_DISORDER);
    return is_outside(merge, source, head) ? fail(merge, i, SOURCE_OUTSIDE) : 0;
}

/* Whether one source's line comes before another's; the code of the other one is by this one from here on. */
static int precedes(struct merge *merge, size_t a, size_t b)
{
    struct head *x = &merge->heads[a], *y = &merge->heads[b], *loser;
    int result = 0;
    size_t at;

    if (x->code != y->code)
        return x->code < y->code;
    if (x->code == MERGE_ENDED)
        return a < b;
    if (x->code != 0) {
        at = symbol_of(x->code) * SYMBOL;
        result = compare_keys(merge, x->key, y->key, &at);
    }
    if (result == 0) {
        result = compare_lines(merge->ordering, x->line, y->line);
        result = result ? result : a < b ? -1 : 1;
        (result < 0 ? y : x)->code = 0;
        return result < 0;
    }
    loser = result < 0 ? y : x;
    loser->code = code_at(merge, loser->key, at / SYMBOL);
    return result < 0;
}

/* Let the source play from its leaf up; returns the winner. Leaf i is node n + i, the parent of a node is its half. */
static size_t replay(struct merge *merge, size_t source)
{
    for (size_t node = (merge->n + source) / 2; node > 0; node /= 2) {
        size_t other = merge->losers[node];

        if (precedes(merge, other, source)) {
            merge->losers[node] = (uint32_t)source;
            source = other;
        }
    }
    return source;
}

/* The winner below a node, whose losers are set on the way. */
static size_t play(struct merge *merge, size_t node)
{
    size_t left, right;

    if (node >= merge->n)
        return node - merge->n;
    left = play(merge, 2 * node);
    right = play(merge, 2 * node + 1);
    if (precedes(merge, left, right)) {
        merge->losers[node] = (uint32_t)right;
        return left;
    }
    merge->losers[node] = (uint32_t)left;
    return right;
}

/* Play anew, where a source was not in order: codes by the line before it say nothing. Returns the winner. */
static size_t restart(struct merge *merge)
{
    for (size_t i = 0; i < merge->n; i++)
        if (merge->heads[i].code != MERGE_ENDED)
            merge->heads[i].code = code_at(merge, merge->heads[i].key, 0);
    merge->is_disordered = 0;
    return play(merge, 1);
}

/* Write a line, in a join with the number of its dictionary before it. */
static int write_line(const struct merge *merge, const struct source *source, struct span line, struct outputs *output)
{
    char tag[OUTPUTS_PAD] = {0};

    if (merge->dictionary) {
        int len = snprintf(tag, sizeof tag, "%u\t", source->dictionary);

        if (outputs_put(output, 0, tag, (size_t)len) < 0)
            return -1;
    }
    return outputs_put(output, 0, line.at, line.len + 1);
}

static int write_all(struct merge *merge, struct outputs *output)
{
    size_t winner;

    for (size_t i = 0; i < merge->n; i++)
        if (advance(merge, i) < 0)
            return -1;
    for (winner = play(merge, 1); merge->heads[winner].code != MERGE_ENDED;) {
        const struct head *head = &merge->heads[winner];
        int is_repeated = merge->ordering->is_unique && head->code == 0;

        if (!is_repeated && write_line(merge, &merge->sources[winner], head->line, output) < 0)
            return -1;
        if (advance(merge, winner) < 0)
            return -1;
        winner = merge->is_disordered ? restart(merge) : replay(merge, winner);
    }
    return 0;
}

static int open_normals(struct merge *merge)
{
    merge->normal = merge->of_dictionary = (struct normal){0};
    if (merge->ordering->n > 0 && normal_open(&merge->normal, merge->ordering) < 0)
        return -1;
    return merge->dictionary ? normal_open(&merge->of_dictionary, merge->dictionary) : 0;
}

static void close_normals(struct merge *merge)
{
    normal_close(&merge->normal);
    normal_close(&merge->of_dictionary);
}

int merge_run(struct merge *merge, const struct ordering *ordering, struct source *sources, size_t n,
              struct outputs *output)
{
    int result;

    memset(merge->heads, 0, n * sizeof *merge->heads);
    merge->ordering = ordering;
    merge->sources = sources;
    merge->n = n;
    merge->is_backwards = ordering->n == 0 && ordering->flags & KEY_R;
    merge->is_disordered = 0;
    merge->failed = SOURCE_END;
    if (n == 0)
        return 0;
    result = open_normals(merge) < 0 ? fail(merge, 0, SOURCE_MEMORY) : write_all(merge, output);
    close_normals(merge);
    for (size_t i = 0; i < n; i++) {
        free(merge->heads[i].form);
        free(merge->heads[i].last_form);
    }
    return result;
}
