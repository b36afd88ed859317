/* Little-endian words at any address, on any machine: the input of both hashes. */
#ifndef REMORA_WORDS_H
#define REMORA_WORDS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t read32(const unsigned char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static inline uint64_t read64(const unsigned char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#endif
