/*
 * partitioner - which partition a line goes to.
 *
 * By hash, lines with equal keys meet in the partition that the XXH3-64 of their normal
 * form chooses, modulo the number of partitions. By range, sorted border lines divide all
 * lines: partition p has those from border p - 1 on that are before border p, so that
 * sorted partitions one after another are sorted.
 *
 * Lines with equal keys meet by range, too, if the ordering is stable or unique. Without
 * that only identical lines are equal, and any partition next to a border may have those
 * that are identical to it: they take turns. So a border that occurs r times spreads its
 * line over r + 1 partitions, and partitions have equal sizes even if all lines are the same.
 *
 * Example: by borders b, d, d the line a goes to partition 0, c to 1, d to 1, 2, 3 in turn, e to 3.
 */
#ifndef REMORA_PARTITIONER_H
#define REMORA_PARTITIONER_H

#include <stddef.h>
#include <stdint.h>

#include "sort/source.h"

struct border {
    struct span line;
    struct span key;
    uint32_t same; /* the first border that is equal to this one */
    uint32_t turn;
};

struct partitioner {
    const struct ordering *ordering;
    struct normal normal; /* with keys only */
    unsigned char *form;  /* of the current line */
    size_t form_room;
    uint32_t n; /* partitions */
    int by_range;
    uint64_t *prefixes; /* of the borders */
    struct border *borders;
    uint32_t nborders;
    uint32_t room;
    char why[128];
};

/* partitioner_open - prepare to choose among `n` partitions by hash. Returns 0, or -1 without memory. */
int partitioner_open(struct partitioner *partitioner, const struct ordering *ordering, uint32_t n);

/*
 * partitioner_borders - choose by range, with the lines of a source as borders.
 *
 * Returns 0, or -1 with `why`: the source cannot be read, there are `n` borders or more, or they
 * are not sorted.
 */
int partitioner_borders(struct partitioner *partitioner, struct source *source);

/* partitioner_choose - the partition of a line; 8 bytes after it can be read. */
uint32_t partitioner_choose(struct partitioner *partitioner, struct span line);

void partitioner_close(struct partitioner *partitioner);

#endif
