/*
 * The normal forms of any two lines compare as the lines do by their keys, and none is the beginning of another one.
 *
 * The first line is an ordering (oracle.h), the second one of the two that are compared, the rest the other.
 */
#include <stdint.h>

#include "oracle.h"
#include "sort/order.h"

enum { LONGEST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A form of exact size, so that a sanitizer sees a byte beyond it. */
static struct span form_of(const struct normal *normal, struct span line)
{
    size_t room = normal_room(normal->ordering, line.len);
    char *form = malloc(room);
    struct span made;

    CHECK(form);
    made = (struct span){form, normal_form(normal, line, (unsigned char *)form)};
    CHECK(made.len > 0 && made.len <= room);
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ordering ordering;
    struct span text = {(const char *)data, size};
    struct span a, b, form_a, form_b;
    struct normal normal;
    const char *middle;
    size_t used;
    int order;

    if (size > LONGEST || !(used = oracle_ordering(text, &ordering)) || ordering.n == 0)
        return 0;
    a = (struct span){text.at + used, size - used};
    if (!(middle = memchr(a.at, '\n', a.len)))
        return 0;
    b = (struct span){middle + 1, (size_t)(a.at + a.len - middle - 1)};
    a.len = (size_t)(middle - a.at);
    CHECK(normal_open(&normal, &ordering) == 0);
    form_a = form_of(&normal, a);
    form_b = form_of(&normal, b);
    order = oracle_sign(order_bytes(form_a, form_b));
    CHECK(order == oracle_keys(&ordering, a, b));
    if (order != 0)
        CHECK(memcmp(form_a.at, form_b.at, form_a.len < form_b.len ? form_a.len : form_b.len) != 0);
    free((char *)form_a.at);
    free((char *)form_b.at);
    normal_close(&normal);
    return 0;
}
