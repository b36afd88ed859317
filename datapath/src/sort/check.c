/* Reading one file line by line: whether it is sorted, and samples of it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sort/complain.h"
#include "sort/input.h"
#include "sort/order.h"
#include "sort/source.h"
#include "split/outputs.h"

enum { BUFFER = 1024 * 1024 };

/* A line that is kept, and its normal form if there are keys. */
struct kept {
    char *line;
    size_t len;
    size_t room;
    unsigned char *form;
    size_t form_len;
    size_t form_room;
};

static int make_room(void *at, size_t *room, size_t need)
{
    void **buffer = at;
    void *larger;

    if (need <= *room)
        return 0;
    if (!(larger = realloc(*buffer, 2 * need)))
        return -1;
    *buffer = larger;
    *room = 2 * need;
    return 0;
}

static int keep(struct kept *kept, const struct normal *normal, struct span line)
{
    if (make_room(&kept->line, &kept->room, line.len + 1) < 0)
        return -1;
    memcpy(kept->line, line.at, line.len);
    kept->len = line.len;
    if (normal->ordering->n == 0)
        return 0;
    if (make_room(&kept->form, &kept->form_room, normal_room(normal->ordering, line.len)) < 0)
        return -1;
    kept->form_len = normal_form(normal, line, kept->form);
    return 0;
}

static int compare(const struct ordering *ordering, const struct kept *a, const struct kept *b)
{
    return order_compare(ordering, (struct span){(char *)a->form, a->form_len}, (struct span){a->line, a->len},
                         (struct span){(char *)b->form, b->form_len}, (struct span){b->line, b->len});
}

/* Returns 1 if all lines are in order; 0 with the one that is not in kept[number % 2]; -1 with the sentence. */
static int check(struct sorter *sorter, struct source *source, const struct normal *normal, struct kept kept[2],
                 uint64_t *number)
{
    enum source_result result;
    struct span line;

    *number = 0;
    if (sorter->has_header && (result = source_next(source, &line)) == SOURCE_LINE)
        ++*number;
    for (uint64_t first = ++*number; (result = source_next(source, &line)) == SOURCE_LINE; ++*number) {
        int order;

        if (keep(&kept[*number % 2], normal, line) < 0)
            return complain_memory(sorter);
        order = *number > first ? compare(&sorter->ordering, &kept[(*number + 1) % 2], &kept[*number % 2]) : -1;
        if (order > 0 || (order == 0 && sorter->ordering.is_unique))
            return 0;
    }
    return result == SOURCE_END ? 1 : complain_source(sorter, sorter->files[0], result, source);
}

/* Open the only file. Returns 0, or -1 with the sentence. */
static int open_only(struct sorter *sorter, struct source *source)
{
    int fd = input_file(sorter->files[0]);

    if (fd < 0)
        return complain_read(sorter, sorter->files[0]);
    if (source_open(source, fd, sorter->ordering.end, BUFFER) == 0)
        return 0;
    close(fd);
    return complain_memory(sorter);
}

static void close_only(struct source *source)
{
    source_close(source);
    close(source->fd);
}

int sorter_check(struct sorter *sorter, uint64_t *number, char **line, size_t *len)
{
    struct kept kept[2] = {0};
    struct normal normal;
    struct source source;
    int result;

    if (open_only(sorter, &source) < 0)
        return -1;
    if (normal_open(&normal, &sorter->ordering) < 0) {
        close_only(&source);
        return complain_memory(sorter);
    }
    result = check(sorter, &source, &normal, kept, number);
    *line = NULL;
    if (result == 0) {
        *line = kept[*number % 2].line;
        *len = kept[*number % 2].len;
        kept[*number % 2].line = NULL;
    }
    for (int i = 0; i < 2; i++) {
        free(kept[i].line);
        free(kept[i].form);
    }
    normal_close(&normal);
    close_only(&source);
    return result;
}

/* How many multiples of `stride`, from 0 on, are below a number. */
static uint64_t up_to(uint64_t number, uint32_t stride)
{
    return (number + stride - 1) / stride;
}

int sorter_sample(struct sorter *sorter, uint32_t stride)
{
    struct outputs outputs = {0};
    int out = STDOUT_FILENO, result;
    struct source source;
    struct span line;
    enum source_result got;

    if (open_only(sorter, &source) < 0)
        return -1;
    result = outputs_init(&outputs, &out, 1);
    while ((got = source_next(&source, &line)) == SOURCE_LINE && result == 0)
        if (up_to(source.offset, stride) != up_to(source.next, stride))
            result = outputs_put(&outputs, 0, line.at, line.len + 1);
    if (result == 0)
        result = outputs_flush(&outputs);
    if (outputs_end(&outputs) < 0 || result < 0)
        result = complain_output(sorter);
    if (result == 0 && got != SOURCE_END)
        result = complain_source(sorter, sorter->files[0], got, &source);
    close_only(&source);
    return result;
}
