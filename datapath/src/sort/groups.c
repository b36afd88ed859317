#include "sort/groups.h"

#include <stdlib.h>
#include <string.h>

#include "sort/order.h"

enum {
    WORD = sizeof(uint64_t),
    GROUP_MIN = 24,              /* fewer lines with equal prefixes are compared in whole */
    AHEAD = 12,                  /* entries whose text is fetched before it is needed */
    PENDING = RADIX_BUCKETS * 32 /* of a block: its entries are fewer than 2^32 */
};

struct groups *groups_new(const struct block *block)
{
    size_t room = block->n / 2 + 1; /* groups have two entries or more, and none in common */
    struct groups *groups = malloc(sizeof *groups + (room < PENDING ? room : PENDING) * sizeof *groups->of);

    if (groups) {
        groups->block = block;
        groups->flip = block->ordering->flags & KEY_R ? UINT64_MAX : 0;
        groups->pending = 0;
    }
    return groups;
}

static const char *key_of(const struct block *block, const struct entry *entry, enum stage stage)
{
    if (stage == BY_KEY)
        return block_record(block, entry);
    return block_text(block, entry);
}

static uint64_t load(const struct groups *groups, const struct entry *entry, size_t depth, enum stage stage)
{
    uint64_t word;

    if (depth >= entry->len)
        word = 0;
    else
        word = block_word(key_of(groups->block, entry, stage) + depth, entry->len - depth);
    return stage == BY_LINE ? word ^ groups->flip : word;
}

void groups_put(struct groups *groups, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    if (n > 1)
        groups->of[groups->pending++] = (struct group){entries, n, depth, stage};
}

/* Comparing keys in whole, from `depth` on, and what decides if they are equal. */

static int compare_lines(const struct groups *groups, struct span a, struct span b)
{
    int result = order_bytes(a, b);

    return groups->flip ? -result : result;
}

static struct span rest_of(const struct groups *groups, const struct entry *entry, size_t depth, enum stage stage)
{
    if (depth >= entry->len)
        return (struct span){"", 0};
    return (struct span){key_of(groups->block, entry, stage) + depth, entry->len - depth};
}

static int compare_rest(const struct groups *groups, const struct entry *a, const struct entry *b, size_t depth,
                        enum stage stage)
{
    const struct ordering *ordering = groups->block->ordering;
    struct span key_a = rest_of(groups, a, depth, stage), key_b = rest_of(groups, b, depth, stage);
    int result = stage == BY_LINE ? compare_lines(groups, key_a, key_b) : order_bytes(key_a, key_b);

    if (result || stage == BY_LINE)
        return result;
    if (ordering->is_stable || ordering->is_unique)
        return a->ref < b->ref ? -1 : 1;
    return compare_lines(groups, block_line(groups->block, a), block_line(groups->block, b));
}

int groups_compare(const struct groups *groups, const struct entry *a, const struct entry *b)
{
    enum stage stage = groups_first_stage(groups->block);
    int backwards = stage == BY_LINE && groups->flip;

    if (a->prefix != b->prefix)
        return (a->prefix < b->prefix) != backwards ? -1 : 1;
    return compare_rest(groups, a, b, stage == BY_KEY ? WORD : 0, stage);
}

/* Of lines with equal keys, whose entries are in order of their positions, only the first stays. */
static void drop_rest(struct entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++)
        entries[i].ref = BLOCK_DROPPED;
}

void groups_drop_equal(const struct groups *groups, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    for (size_t i = 0, next; i < n; i = next) {
        struct span key = rest_of(groups, &entries[i], depth, stage);

        for (next = i + 1; next < n && entries[next].prefix == entries[i].prefix; next++)
            if (order_bytes(key, rest_of(groups, &entries[next], depth, stage)) != 0)
                break;
        drop_rest(entries + i, next - i);
    }
}

/* Few entries, with prefixes from `depth` on. */
static void sort_few(const struct groups *groups, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    for (size_t i = 1; i < n; i++) {
        struct entry entry = entries[i];
        size_t j = i;

        for (; j > 0 && entries[j - 1].prefix >= entry.prefix; j--) {
            if (entries[j - 1].prefix == entry.prefix &&
                compare_rest(groups, &entries[j - 1], &entry, depth, stage) <= 0)
                break;
            entries[j] = entries[j - 1];
        }
        entries[j] = entry;
    }
    if (groups->block->ordering->is_unique)
        groups_drop_equal(groups, entries, n, depth, stage);
}

/* Many entries with equal keys. */
static void tie(struct groups *groups, struct entry *entries, size_t n, enum stage stage)
{
    const struct ordering *ordering = groups->block->ordering;

    if (n < 2)
        return;
    if (ordering->is_unique) {
        size_t first = 0;

        for (size_t i = 1; i < n; i++)
            first = entries[i].ref < entries[first].ref ? i : first;
        entry_swap(&entries[0], &entries[first]);
        drop_rest(entries, n);
        return;
    }
    if (stage == BY_LINE) {
        for (size_t i = 1; i < n; i++)
            entries[i].ref = entries[0].ref; /* any copy of the line will do: the nearest one */
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct entry *entry = &entries[i];

        if (i + AHEAD < n)
            __builtin_prefetch(block_has_record(groups->block, &entries[i + AHEAD])
                                   ? block_record(groups->block, &entries[i + AHEAD])
                                   : block_text(groups->block, &entries[i + AHEAD]));
        if (ordering->is_stable) {
            entry->prefix = entry->ref;
        } else {
            entry->len = (uint32_t)block_line(groups->block, entry).len;
            entry->prefix = load(groups, entry, 0, BY_LINE);
        }
    }
    groups_put(groups, entries, n, 0, ordering->is_stable ? BY_POSITION : BY_LINE);
}

/* Move the entries with a length from `least` to `most` to the front. Returns how many there are. */
static size_t gather(struct entry *entries, size_t n, size_t least, size_t most)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (entries[i].len >= least && entries[i].len <= most)
            entry_swap(&entries[found++], &entries[i]);
    return found;
}

/* Keys that end within the prefix and have it in common differ only by zeros at their end. */
static void sort_ended(struct groups *groups, struct entry *entries, size_t n, const struct group *group)
{
    int backwards = group->stage == BY_LINE && groups->flip;

    for (size_t i = 0; i <= WORD && n > 0; i++) {
        size_t len = group->depth + (backwards ? WORD - i : i);
        size_t same = gather(entries, n, len, len);

        tie(groups, entries, same, group->stage);
        entries += same;
        n -= same;
    }
}

static void go_deeper(struct groups *groups, struct entry *entries, size_t n, const struct group *group)
{
    size_t depth = group->depth + WORD;

    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(key_of(groups->block, &entries[i + AHEAD], group->stage) + depth);
        entries[i].prefix = load(groups, &entries[i], depth, group->stage);
    }
    if (n < GROUP_MIN)
        sort_few(groups, entries, n, depth, group->stage);
    else
        groups_put(groups, entries, n, depth, group->stage);
}

/* Entries with equal prefixes: those whose key has ended come before the others, or backwards after them. */
static void sort_equal(struct groups *groups, struct entry *entries, size_t n, const struct group *group)
{
    size_t longer;

    if (n < 2 || group->stage == BY_POSITION)
        return;
    longer = gather(entries, n, group->depth + WORD + 1, SIZE_MAX);
    if (longer > 0 && longer < n && !(group->stage == BY_LINE && groups->flip)) {
        /* Exchange the two parts, of which neither has an order yet. */
        size_t ended = n - longer, moved = longer < ended ? longer : ended;

        for (size_t i = 0; i < moved; i++)
            entry_swap(&entries[i], &entries[n - moved + i]);
        sort_ended(groups, entries, ended, group);
        go_deeper(groups, entries + ended, longer, group);
        return;
    }
    go_deeper(groups, entries, longer, group);
    sort_ended(groups, entries + longer, n - longer, group);
}

/* Entries that are sorted by prefix. */
static void sort_equals(struct groups *groups, struct entry *entries, size_t n, const struct group *group)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (entries[i].prefix == entries[i + 1].prefix)
            __builtin_prefetch(key_of(groups->block, &entries[i], group->stage) + group->depth + WORD);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && entries[next].prefix == entries[i].prefix; next++)
            ;
        sort_equal(groups, entries + i, next - i, group);
    }
}

static void sort_group(struct groups *groups, struct group group)
{
    size_t buckets;

    if (group.n < RADIX_MIN) {
        radix_few(group.entries, group.n);
        sort_equals(groups, group.entries, group.n, &group);
        return;
    }
    if ((buckets = radix_split(group.entries, group.n, groups->heads)) == 1) {
        sort_equal(groups, group.entries, group.n, &group);
        return;
    }
    for (size_t i = 0; i < buckets; i++)
        groups_put(groups, group.entries + groups->heads[i], groups->heads[i + 1] - groups->heads[i], group.depth,
                   group.stage);
}

/* Sort one group. What it leaves to be sorted is put down with the largest part first. */
void groups_step(struct groups *groups)
{
    size_t from = --groups->pending, largest = from;
    struct group kept;

    sort_group(groups, groups->of[from]);
    for (size_t i = from + 1; i < groups->pending; i++)
        largest = groups->of[i].n > groups->of[largest].n ? i : largest;
    kept = groups->of[from];
    groups->of[from] = groups->of[largest];
    groups->of[largest] = kept;
}

void groups_finish(struct groups *groups)
{
    while (groups->pending > 0)
        groups_step(groups);
}
