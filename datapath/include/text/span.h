/*
 * span - a part of a text in memory that it does not own.
 */
#ifndef REMORA_SPAN_H
#define REMORA_SPAN_H

#include <stddef.h>

struct span {
    const char *at;
    size_t len;
};

#endif
