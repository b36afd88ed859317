#include "sort/order.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "sort/radix.h"

enum {
    WORD = sizeof(uint64_t),
    GROUP_MIN = 24,               /* fewer lines with equal prefixes are compared in whole */
    AHEAD = 12,                   /* entries whose text is fetched before it is needed */
    PENDING = RADIX_BUCKETS * 32, /* of a block: its entries are fewer than 2^32 */
    THREAD_MIN = 4096             /* entries that are worth a thread */
};

/* What a group's entries are being compared by. */
enum stage { BY_KEY, BY_LINE, BY_POSITION };

/* Entries that are equal up to `depth`, with prefixes from there on. */
struct group {
    struct entry *entries;
    size_t n;
    size_t depth;
    enum stage stage;
};

/* One thread's work. Of what a group leaves to be sorted, the largest part is taken last. The others have at most half
   of its entries, so that groups within groups are at most as many as the logarithm of all entries. */
struct work {
    const struct block *block;
    uint64_t flip;                   /* all bits if whole lines are ordered backwards */
    size_t heads[RADIX_BUCKETS + 1]; /* while a group is distributed */
    size_t pending;
    struct group groups[];
};

static const char *key_of(const struct block *block, const struct entry *entry, enum stage stage)
{
    if (stage == BY_KEY)
        return block_record(block, entry);
    return block_line(block, entry).at;
}

static uint64_t load(const struct work *work, const struct entry *entry, size_t depth, enum stage stage)
{
    uint64_t word;

    if (depth >= entry->len)
        word = 0;
    else
        word = block_word(key_of(work->block, entry, stage) + depth, entry->len - depth);
    return stage == BY_LINE ? word ^ work->flip : word;
}

static void put(struct work *work, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    if (n > 1)
        work->groups[work->pending++] = (struct group){entries, n, depth, stage};
}

/* Comparing keys in whole, from `depth` on, and what decides if they are equal. */

static int compare_lines(const struct work *work, struct span a, struct span b)
{
    int result = order_bytes(a, b);

    return work->flip ? -result : result;
}

static struct span rest_of(const struct work *work, const struct entry *entry, size_t depth, enum stage stage)
{
    if (depth >= entry->len)
        return (struct span){"", 0};
    return (struct span){key_of(work->block, entry, stage) + depth, entry->len - depth};
}

static int compare_rest(const struct work *work, const struct entry *a, const struct entry *b, size_t depth,
                        enum stage stage)
{
    const struct ordering *ordering = work->block->ordering;
    struct span key_a = rest_of(work, a, depth, stage), key_b = rest_of(work, b, depth, stage);
    int result = stage == BY_LINE ? compare_lines(work, key_a, key_b) : order_bytes(key_a, key_b);

    if (result || stage == BY_LINE)
        return result;
    if (ordering->is_stable || ordering->is_unique)
        return a->ref < b->ref ? -1 : 1;
    return compare_lines(work, block_line(work->block, a), block_line(work->block, b));
}

/* Of lines with equal keys, whose entries are in order of their positions, only the first stays. */
static void drop_rest(struct entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++)
        entries[i].ref = BLOCK_DROPPED;
}

static void drop_equal(const struct work *work, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    for (size_t i = 0, next; i < n; i = next) {
        struct span key = rest_of(work, &entries[i], depth, stage);

        for (next = i + 1; next < n && entries[next].prefix == entries[i].prefix; next++)
            if (order_bytes(key, rest_of(work, &entries[next], depth, stage)) != 0)
                break;
        drop_rest(entries + i, next - i);
    }
}

/* Few entries, with prefixes from `depth` on. */
static void sort_few(const struct work *work, struct entry *entries, size_t n, size_t depth, enum stage stage)
{
    for (size_t i = 1; i < n; i++) {
        struct entry entry = entries[i];
        size_t j = i;

        for (; j > 0 && entries[j - 1].prefix >= entry.prefix; j--) {
            if (entries[j - 1].prefix == entry.prefix && compare_rest(work, &entries[j - 1], &entry, depth, stage) <= 0)
                break;
            entries[j] = entries[j - 1];
        }
        entries[j] = entry;
    }
    if (work->block->ordering->is_unique)
        drop_equal(work, entries, n, depth, stage);
}

/* Many entries with equal keys. */
static void tie(struct work *work, struct entry *entries, size_t n, enum stage stage)
{
    const struct ordering *ordering = work->block->ordering;

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
            __builtin_prefetch(block_record(work->block, &entries[i + AHEAD]));
        if (ordering->is_stable) {
            entry->prefix = entry->ref;
        } else {
            entry->len = (uint32_t)block_line(work->block, entry).len;
            entry->prefix = load(work, entry, 0, BY_LINE);
        }
    }
    put(work, entries, n, 0, ordering->is_stable ? BY_POSITION : BY_LINE);
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
static void sort_ended(struct work *work, struct entry *entries, size_t n, const struct group *group)
{
    int backwards = group->stage == BY_LINE && work->flip;

    for (size_t i = 0; i <= WORD && n > 0; i++) {
        size_t len = group->depth + (backwards ? WORD - i : i);
        size_t same = gather(entries, n, len, len);

        tie(work, entries, same, group->stage);
        entries += same;
        n -= same;
    }
}

static void go_deeper(struct work *work, struct entry *entries, size_t n, const struct group *group)
{
    size_t depth = group->depth + WORD;

    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(key_of(work->block, &entries[i + AHEAD], group->stage) + depth);
        entries[i].prefix = load(work, &entries[i], depth, group->stage);
    }
    if (n < GROUP_MIN)
        sort_few(work, entries, n, depth, group->stage);
    else
        put(work, entries, n, depth, group->stage);
}

/* Entries with equal prefixes: those whose key has ended come before the others, or backwards after them. */
static void sort_equal(struct work *work, struct entry *entries, size_t n, const struct group *group)
{
    size_t longer;

    if (n < 2 || group->stage == BY_POSITION)
        return;
    longer = gather(entries, n, group->depth + WORD + 1, SIZE_MAX);
    if (longer > 0 && longer < n && !(group->stage == BY_LINE && work->flip)) {
        /* Exchange the two parts, of which neither has an order yet. */
        size_t ended = n - longer, moved = longer < ended ? longer : ended;

        for (size_t i = 0; i < moved; i++)
            entry_swap(&entries[i], &entries[n - moved + i]);
        sort_ended(work, entries, ended, group);
        go_deeper(work, entries + ended, longer, group);
        return;
    }
    go_deeper(work, entries, longer, group);
    sort_ended(work, entries + longer, n - longer, group);
}

/* Entries that are sorted by prefix. */
static void sort_equals(struct work *work, struct entry *entries, size_t n, const struct group *group)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (entries[i].prefix == entries[i + 1].prefix)
            __builtin_prefetch(key_of(work->block, &entries[i], group->stage) + group->depth + WORD);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && entries[next].prefix == entries[i].prefix; next++)
            ;
        sort_equal(work, entries + i, next - i, group);
    }
}

static void sort_group(struct work *work, struct group group)
{
    size_t buckets;

    if (group.n < RADIX_MIN) {
        radix_few(group.entries, group.n);
        sort_equals(work, group.entries, group.n, &group);
        return;
    }
    if ((buckets = radix_split(group.entries, group.n, work->heads)) == 1) {
        sort_equal(work, group.entries, group.n, &group);
        return;
    }
    for (size_t i = 0; i < buckets; i++)
        put(work, group.entries + work->heads[i], work->heads[i + 1] - work->heads[i], group.depth, group.stage);
}

/* Sort one group. What it leaves to be sorted is put down with the largest part first. */
static void sort_last(struct work *work)
{
    size_t from = --work->pending, largest = from;
    struct group kept;

    sort_group(work, work->groups[from]);
    for (size_t i = from + 1; i < work->pending; i++)
        largest = work->groups[i].n > work->groups[largest].n ? i : largest;
    kept = work->groups[from];
    work->groups[from] = work->groups[largest];
    work->groups[largest] = kept;
}

static void sort_all(struct work *work)
{
    while (work->pending > 0)
        sort_last(work);
}

/* Lines that are sorted already are left alone. */
static int is_sorted(const struct work *work, const struct group *all)
{
    size_t depth = all->stage == BY_KEY ? WORD : 0;

    for (size_t i = 1; i < all->n; i++) {
        const struct entry *a = &all->entries[i - 1], *b = &all->entries[i];

        if (a->prefix > b->prefix || (a->prefix == b->prefix && compare_rest(work, a, b, depth, all->stage) > 0))
            return 0;
    }
    return 1;
}

/* Threads take the groups of the first digit that differs, one after another. */
struct shared {
    const struct group *groups;
    size_t n;
    atomic_size_t taken;
};

struct helper {
    struct shared *shared;
    struct work *work;
    pthread_t thread;
};

static struct work *new_work(const struct block *block)
{
    size_t room = block->n / 2 + 1; /* groups have two entries or more, and none in common */
    struct work *work = malloc(sizeof *work + (room < PENDING ? room : PENDING) * sizeof *work->groups);

    if (work) {
        work->block = block;
        work->flip = block->ordering->flags & KEY_R ? UINT64_MAX : 0;
        work->pending = 0;
    }
    return work;
}

static void *take_groups(void *argument)
{
    struct helper *helper = argument;
    size_t i;

    while ((i = atomic_fetch_add(&helper->shared->taken, 1)) < helper->shared->n) {
        helper->work->groups[helper->work->pending++] = helper->shared->groups[i];
        sort_all(helper->work);
    }
    return NULL;
}

/* Sort the groups of `work` by several threads, of which this one is the last. */
static void share(struct work *work, int threads)
{
    struct shared shared = {.groups = work->groups, .n = work->pending};
    struct helper helpers[ORDER_THREADS];
    int n = 0;

    for (; n < threads - 1 && n < ORDER_THREADS; n++) {
        helpers[n] = (struct helper){.shared = &shared, .work = new_work(work->block)};
        if (!helpers[n].work)
            break;
        if (pthread_create(&helpers[n].thread, NULL, take_groups, &helpers[n]) != 0) {
            free(helpers[n].work);
            break;
        }
    }
    if (n > 0) {
        struct helper self = {.shared = &shared, .work = new_work(work->block)};

        if (self.work)
            take_groups(&self);
        free(self.work);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(helpers[i].thread, NULL);
        free(helpers[i].work);
    }
    if (n > 0)
        work->pending = 0;
}

int order_block(struct block *block, int threads)
{
    struct work *work = new_work(block);
    struct group all = {block->entries, block->n, 0, block_has_keys(block) ? BY_KEY : BY_LINE};

    if (!work)
        return -1;
    for (size_t i = 0; i < all.n && all.stage == BY_LINE && work->flip; i++)
        all.entries[i].prefix ^= work->flip;
    if (is_sorted(work, &all)) {
        if (block->ordering->is_unique)
            drop_equal(work, all.entries, all.n, all.stage == BY_KEY ? WORD : 0, all.stage);
    } else {
        put(work, all.entries, all.n, 0, all.stage);
        while (threads > 1 && all.n >= THREAD_MIN && work->pending == 1)
            sort_last(work);
        if (threads > 1 && work->pending > 1)
            share(work, threads);
        sort_all(work);
    }
    free(work);
    return 0;
}

int order_compare(const struct ordering *ordering, struct span key_a, struct span line_a, struct span key_b,
                  struct span line_b)
{
    int result = ordering->n > 0 ? order_bytes(key_a, key_b) : 0;

    if (result || (ordering->n > 0 && (ordering->is_stable || ordering->is_unique)))
        return result;
    result = order_bytes(line_a, line_b);
    return ordering->flags & KEY_R ? -result : result;
}
