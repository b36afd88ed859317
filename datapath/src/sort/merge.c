#include "sort/merge.h"

#include <stdlib.h>
#include <string.h>

#include "sort/order.h"

static int fail(struct merge *merge, size_t source, enum source_result why)
{
    merge->failed = why;
    merge->culprit = source;
    return -1;
}

/* Write the normal form of a source's line. Returns 0, or -1 without memory. */
static int rewrite(struct merge *merge, struct head *head)
{
    size_t room = normal_room(merge->ordering, head->line.len) + sizeof(uint64_t);

    if (room > head->form_room) {
        unsigned char *larger = realloc(head->form, 2 * room);

        if (!larger)
            return -1;
        head->form = larger;
        head->form_room = 2 * room;
    }
    head->key = (struct span){(char *)head->form, normal_form(&merge->normal, head->line, head->form)};
    return 0;
}

/* Take the next line of a source. */
static int advance(struct merge *merge, size_t i)
{
    struct head *head = &merge->heads[i];
    enum source_result result = source_next(&merge->sources[i], &head->line);

    if (result == SOURCE_END) {
        head->ended = 1;
        return 0;
    }
    if (result != SOURCE_LINE)
        return fail(merge, i, result);
    if (merge->ordering->n == 0)
        head->key = head->line;
    else if (rewrite(merge, head) < 0)
        return fail(merge, i, SOURCE_MEMORY);
    head->prefix = block_word(head->key.at, head->key.len);
    if (merge->ordering->n == 0 && (merge->ordering->flags & KEY_R))
        head->prefix = ~head->prefix;
    return 0;
}

static int precedes(const struct merge *merge, size_t a, size_t b)
{
    const struct head *x = &merge->heads[a], *y = &merge->heads[b];
    int result;

    if (x->ended || y->ended)
        return y->ended && (!x->ended || a < b);
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix;
    result = order_compare(merge->ordering, x->key, x->line, y->key, y->line);
    return result ? result < 0 : a < b;
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

/* A copy of a key, to compare the next lines with. */
struct kept {
    char *at;
    size_t len;
    size_t room;
};

/* Whether a line has the key that was kept, which else it becomes. Returns -1 without memory. */
static int is_repeated(struct kept *kept, struct span key)
{
    if (kept->at && order_bytes((struct span){kept->at, kept->len}, key) == 0)
        return 1;
    if (!kept->at || key.len > kept->room) {
        char *larger = realloc(kept->at, 2 * key.len + 1);

        if (!larger)
            return -1;
        kept->at = larger;
        kept->room = 2 * key.len;
    }
    memcpy(kept->at, key.at, key.len);
    kept->len = key.len;
    return 0;
}

static int write_all(struct merge *merge, struct outputs *output, struct kept *kept)
{
    size_t winner;

    for (size_t i = 0; i < merge->n; i++)
        if (advance(merge, i) < 0)
            return -1;
    for (winner = play(merge, 1); !merge->heads[winner].ended; winner = replay(merge, winner)) {
        const struct head *head = &merge->heads[winner];
        int repeated = merge->ordering->is_unique ? is_repeated(kept, head->key) : 0;

        if (repeated < 0)
            return fail(merge, winner, SOURCE_MEMORY);
        if (!repeated && outputs_put(output, 0, head->line.at, head->line.len + 1) < 0)
            return -1;
        if (advance(merge, winner) < 0)
            return -1;
    }
    return 0;
}

int merge_run(struct merge *merge, const struct ordering *ordering, struct source *sources, size_t n,
              struct outputs *output)
{
    struct kept kept = {0};
    int result;

    memset(merge->heads, 0, n * sizeof *merge->heads);
    merge->ordering = ordering;
    merge->sources = sources;
    merge->n = n;
    merge->failed = SOURCE_END;
    if (n == 0)
        return 0;
    if (ordering->n > 0 && normal_open(&merge->normal, ordering) < 0)
        return fail(merge, 0, SOURCE_MEMORY);
    result = write_all(merge, output, &kept);
    if (ordering->n > 0)
        normal_close(&merge->normal);
    for (size_t i = 0; i < n; i++)
        free(merge->heads[i].form);
    free(kept.at);
    return result;
}
