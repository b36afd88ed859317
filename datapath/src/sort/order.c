#include "sort/order.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sort/groups.h"

enum { THREAD_MIN = 4096 /* entries that are worth a thread */ };

/* Threads take the groups of the first digit that differs, one after another. */
struct shared {
    const struct groups *groups;
    size_t n;
    atomic_size_t taken;
};

struct helper {
    struct shared *shared;
    struct groups *groups; /* its own */
    pthread_t thread;
};

static void *take_groups(void *argument)
{
    struct helper *helper = argument;
    size_t i;

    while ((i = atomic_fetch_add(&helper->shared->taken, 1)) < helper->shared->n) {
        helper->groups->of[helper->groups->pending++] = helper->shared->groups->of[i];
        groups_finish(helper->groups);
    }
    return NULL;
}

/* Let several threads sort all groups. Returns 0; or -1 if no thread can be started, and nothing was sorted. */
static int share(struct groups *groups, int threads)
{
    struct shared shared = {.groups = groups, .n = groups->pending};
    struct helper helpers[ORDER_THREADS];
    int n = 0;

    for (; n < threads && n < ORDER_THREADS; n++) {
        helpers[n] = (struct helper){.shared = &shared, .groups = groups_new(groups->block)};
        if (!helpers[n].groups)
            break;
        if (pthread_create(&helpers[n].thread, NULL, take_groups, &helpers[n]) != 0) {
            free(helpers[n].groups);
            break;
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(helpers[i].thread, NULL);
        free(helpers[i].groups);
    }
    return n > 0 ? 0 : -1;
}

static void sort_all(struct groups *groups, struct block *block, int threads)
{
    enum stage stage = groups_first_stage(block);

    for (size_t i = 0; i < block->n && stage == BY_LINE && groups->flip; i++)
        block->entries[i].prefix ^= groups->flip;
    groups_put(groups, block->entries, block->n, 0, stage);
    while (threads > 1 && block->n >= THREAD_MIN && groups->pending == 1)
        groups_step(groups);
    if (threads > 1 && groups->pending > 1 && share(groups, threads) == 0)
        return;
    groups_finish(groups);
}

/* Whether lines are sorted already: they are left alone then. */
static int is_sorted(const struct groups *groups, const struct block *block)
{
    for (size_t i = 1; i < block->n; i++)
        if (groups_compare(groups, &block->entries[i - 1], &block->entries[i]) > 0)
            return 0;
    return 1;
}

int order_block(struct block *block, int threads)
{
    struct groups *groups = groups_new(block);

    if (!groups)
        return -1;
    if (!is_sorted(groups, block))
        sort_all(groups, block, threads);
    else if (block->ordering->is_unique)
        groups_drop_equal(groups, block->entries, block->n, block_has_keys(block) ? sizeof(uint64_t) : 0,
                          groups_first_stage(block));
    free(groups);
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
