/*
 * range - a range of keys, and where its lines are in a sorted file.
 *
 * N border lines divide all lines into N + 1 ranges, as the partitioner does: range p has the
 * lines from border p - 1 on that are before border p. In a sorted file they are one piece,
 * whose edges a binary search finds: about 30 small reads in a file of 1 GB. Two neighbours
 * search for the same border and so agree about the edge, also in a file that is not sorted;
 * there some piece has a line before the one before it.
 *
 * Where fewer keys divide than order, lines that are equal by these keys are in one range. A
 * dictionary of a join is sorted by fewer keys still: its lines belong to each range that may
 * have a line with their keys, so a line can belong to more than one.
 */
#ifndef REMORA_RANGE_H
#define REMORA_RANGE_H

#include <stdint.h>
#include <sys/types.h>

#include "keys/normal.h"
#include "sort/source.h"

/* A border by one ordering. */
struct edge {
    int is_there; /* the first range has none below it, the last none above */
    struct span line;
    struct span key;
};

/* A range by one ordering. */
struct reach {
    struct ordering ordering;
    struct normal normal;
    struct edge from;
    struct edge to;
    unsigned char *form; /* of the line that is compared */
    size_t form_room;
};

struct range {
    struct reach lines;
    struct reach dictionary; /* of those of dictionaries */
    char *text;              /* of the line that is read */
    size_t room;
    uint64_t offset; /* after SOURCE_LONG: of the line */
};

/*
 * range_open - prepare for lines of an ordering that are divided by its first `keys` keys (0: by all), and joined
 * by the first `join` (0: not at all). Returns 0, or -1 without memory; range_close frees in both cases.
 */
int range_open(struct range *range, const struct ordering *ordering, size_t keys, size_t join);

/*
 * range_borders - be range `number`, from 0, of those that the lines of a source divide.
 *
 * Returns SOURCE_END; SOURCE_DISORDER if the borders are not sorted; or what reading them has failed with.
 */
enum source_result range_borders(struct range *range, struct source *borders, uint32_t number);

/*
 * range_find - the bytes of a sorted file of `size` bytes whose lines are in the range.
 *
 * `of_dictionary`: the file is one. Returns SOURCE_LINE, also if no line is and *start is *end; or SOURCE_READ,
 * SOURCE_LONG, SOURCE_MEMORY. Does not move the file's position.
 */
enum source_result range_find(struct range *range, int fd, off_t size, int of_dictionary, off_t *start, off_t *end);

/* range_holds - whether a line, which is of no dictionary, is in the range. Without memory: no. */
int range_holds(struct range *range, struct span line);

void range_close(struct range *range);

#endif
