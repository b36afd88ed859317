/*
 * hash_key - the bytes that are hashed to choose a reducer.
 */
#ifndef REMORA_HASH_KEY_H
#define REMORA_HASH_KEY_H

#include <stddef.h>

/* cffi begin */
struct hash_key {
    const unsigned char *data; /* may be NULL when len is 0 */
    size_t len;
};
/* cffi end */

#endif
