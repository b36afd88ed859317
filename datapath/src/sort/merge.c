#include "sort/merge.h"

#include <stdio.h>
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

/* Keep the key of the current line, to compare the next one with. */
static void remember(struct head *head)
{
    unsigned char *form = head->last_form;
    size_t room = head->last_room;

    head->last_prefix = head->prefix;
    head->last_key = head->key;
    head->last_form = head->form;
    head->last_room = head->form_room;
    head->form = form;
    head->form_room = room;
}

/* Whether the latest line of a source comes before the one before it. */
static int is_disordered(const struct merge *merge, const struct source *source, const struct head *head)
{
    struct span before = source_before(source);

    if (head->prefix != head->last_prefix)
        return head->prefix < head->last_prefix;
    return order_compare(merge->ordering, merge->ordering->n > 0 ? head->last_key : before, before, head->key,
                         head->line) > 0;
}

/* What is wrong with a source of a strict merge, after its latest line or its end; SOURCE_LINE: nothing. */
static enum source_result examine(const struct merge *merge, const struct source *source, const struct head *head)
{
    if (source->lines > 1 && !head->ended && is_disordered(merge, source, head))
        return SOURCE_DISORDER;
    if (!merge->within || source->lines == 0 || (source->lines > 1 && !head->ended))
        return SOURCE_LINE; /* lines between the first and the last are in the range if these are */
    return range_holds(merge->within, head->ended ? source_before(source) : head->line) ? SOURCE_LINE : SOURCE_OUTSIDE;
}

/* Take the next line of a source. */
static int advance(struct merge *merge, size_t i)
{
    struct head *head = &merge->heads[i];
    struct source *source = &merge->sources[i];
    enum source_result result;

    if (merge->is_strict)
        remember(head);
    result = source_next(source, &head->line);
    head->ended = result == SOURCE_END;
    if (result != SOURCE_LINE && !head->ended)
        return fail(merge, i, result);
    if (merge->ordering->n == 0)
        head->key = head->line;
    else if (!head->ended && rewrite(source->dictionary ? &merge->of_dictionary : &merge->normal, head) < 0)
        return fail(merge, i, SOURCE_MEMORY);
    if (!head->ended)
        head->prefix = block_word(head->key.at, head->key.len);
    if (merge->ordering->n == 0 && (merge->ordering->flags & KEY_R))
        head->prefix = ~head->prefix;
    if (merge->is_strict && (result = examine(merge, source, head)) != SOURCE_LINE)
        return fail(merge, i, result);
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
        if (!repeated && write_line(merge, &merge->sources[winner], head->line, output) < 0)
            return -1;
        if (advance(merge, winner) < 0)
            return -1;
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
    struct kept kept = {0};
    int result;

    memset(merge->heads, 0, n * sizeof *merge->heads);
    merge->ordering = ordering;
    merge->sources = sources;
    merge->n = n;
    merge->failed = SOURCE_END;
    if (n == 0)
        return 0;
    result = open_normals(merge) < 0 ? fail(merge, 0, SOURCE_MEMORY) : write_all(merge, output, &kept);
    close_normals(merge);
    for (size_t i = 0; i < n; i++) {
        free(merge->heads[i].form);
        free(merge->heads[i].last_form);
    }
    free(kept.at);
    return result;
}
