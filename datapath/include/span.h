/*
 * span - some bytes of a text that somebody else holds.
 */
#ifndef REMORA_SPAN_H
#define REMORA_SPAN_H

#include <stddef.h>

struct span {
    const char *at;
    size_t len;
};

#endif
