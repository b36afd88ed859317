#include "hash/xxh3.h"

#include <string.h>

#include "words.h"

/*
 * The specification has one recipe for each class of lengths: 0, 1-3, 4-8, 9-16, 17-128,
 * 129-240, and above. All combine the input with a fixed secret, so that input of zeros
 * does not multiply to zero, and end in an avalanche, so that each bit depends on all.
 */

static const uint64_t P32_1 = 0x9E3779B1, P32_2 = 0x85EBCA77, P32_3 = 0xC2B2AE3D;
static const uint64_t P64_1 = 0x9E3779B185EBCA87, P64_2 = 0xC2B2AE3D27D4EB4F, P64_3 = 0x165667B19E3779F9;
static const uint64_t P64_4 = 0x85EBCA77C2B2AE63, P64_5 = 0x27D4EB2F165667C5;

enum {
    SECRET_LEN = 192,
    STRIPE = 64,
    BLOCK_STRIPES = (SECRET_LEN - STRIPE) / 8, /* the secret advances by 8 bytes per stripe */
    SECRET_LAST = SECRET_LEN - STRIPE - 7,
    SECRET_MERGE = 11
};

static const unsigned char SECRET[SECRET_LEN] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
    0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
    0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
    0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
    0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
    0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
    0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16,
    0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f,
    0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint64_t secret(size_t at)
{
    return read64(SECRET + at);
}

static inline uint64_t rotate(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

/* Both halves of a 128-bit product, folded into one. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t avalanche(uint64_t hash)
{
    hash = (hash ^ hash >> 37) * 0x165667919E3779F9;
    return hash ^ hash >> 32;
}

/* The avalanche of XXH64, which is kept for the shortest inputs. */
static inline uint64_t avalanche64(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * P64_2;
    hash = (hash ^ hash >> 29) * P64_3;
    return hash ^ hash >> 32;
}

static inline uint64_t mix16(const unsigned char *data, size_t at)
{
    return fold(read64(data) ^ secret(at), read64(data + 8) ^ secret(at + 8));
}

static uint64_t hash_1_to_3(const unsigned char *data, size_t len)
{
    uint32_t combined = (uint32_t)data[0] << 16 | (uint32_t)data[len >> 1] << 24 | data[len - 1] | (uint32_t)len << 8;

    return avalanche64(combined ^ (uint64_t)(read32(SECRET) ^ read32(SECRET + 4)));
}

static uint64_t hash_4_to_8(const unsigned char *data, size_t len)
{
    uint64_t mixed = (read32(data + len - 4) + ((uint64_t)read32(data) << 32)) ^ secret(8) ^ secret(16);

    mixed ^= rotate(mixed, 49) ^ rotate(mixed, 24);
    mixed *= 0x9FB21C651E98DF25;
    mixed ^= (mixed >> 35) + len;
    mixed *= 0x9FB21C651E98DF25;
    return mixed ^ mixed >> 28;
}

static uint64_t hash_9_to_16(const unsigned char *data, size_t len)
{
    uint64_t low = read64(data) ^ secret(24) ^ secret(32);
    uint64_t high = read64(data + len - 8) ^ secret(40) ^ secret(48);

    return avalanche(len + __builtin_bswap64(low) + high + fold(low, high));
}

/* Pairs of 16 bytes from both ends inwards, as many as cover the input. */
static uint64_t hash_17_to_128(const unsigned char *data, size_t len)
{
    uint64_t acc = len * P64_1;

    for (size_t i = 0; i <= (len - 1) / 32; i++)
        acc += mix16(data + 16 * i, 32 * i) + mix16(data + len - 16 * (i + 1), 32 * i + 16);
    return avalanche(acc);
}

static uint64_t hash_129_to_240(const unsigned char *data, size_t len)
{
    uint64_t acc = len * P64_1;

    for (size_t i = 0; i < 8; i++)
        acc += mix16(data + 16 * i, 16 * i);
    acc = avalanche(acc);
    for (size_t i = 8; i < len / 16; i++)
        acc += mix16(data + 16 * i, 16 * (i - 8) + 3);
    return avalanche(acc + mix16(data + len - 16, 136 - 17));
}

static inline void accumulate(uint64_t acc[8], const unsigned char *stripe, size_t at)
{
    for (size_t i = 0; i < 8; i++) {
        uint64_t value = read64(stripe + 8 * i);
        uint64_t keyed = value ^ secret(at + 8 * i);

        acc[i ^ 1] += value;
        acc[i] += (keyed & 0xffffffff) * (keyed >> 32);
    }
}

static void scramble(uint64_t acc[8])
{
    for (size_t i = 0; i < 8; i++)
        acc[i] = (acc[i] ^ acc[i] >> 47 ^ secret(SECRET_LEN - STRIPE + 8 * i)) * P32_1;
}

static uint64_t hash_long(const unsigned char *data, size_t len)
{
    uint64_t acc[8] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    uint64_t hash = len * P64_1;
    size_t stripes = (len - 1) / STRIPE; /* the last stripe, perhaps overlapping, is apart */

    for (size_t i = 0; i < stripes; i++) {
        accumulate(acc, data + STRIPE * i, 8 * (i % BLOCK_STRIPES));
        if (i % BLOCK_STRIPES == BLOCK_STRIPES - 1)
            scramble(acc);
    }
    accumulate(acc, data + len - STRIPE, SECRET_LAST);
    for (size_t i = 0; i < 4; i++)
        hash += fold(acc[2 * i] ^ secret(SECRET_MERGE + 16 * i), acc[2 * i + 1] ^ secret(SECRET_MERGE + 16 * i + 8));
    return avalanche(hash);
}

/* Short keys are the usual ones, so they are tested first. */
static inline uint64_t hash(const unsigned char *data, size_t len)
{
    if (len <= 16) {
        if (len > 8)
            return hash_9_to_16(data, len);
        if (len > 3)
            return hash_4_to_8(data, len);
        return len > 0 ? hash_1_to_3(data, len) : avalanche64(secret(56) ^ secret(64));
    }
    if (len <= 128)
        return hash_17_to_128(data, len);
    return len <= 240 ? hash_129_to_240(data, len) : hash_long(data, len);
}

uint64_t xxh3_64(const unsigned char *data, size_t len)
{
    return hash(data, len);
}

void xxh3_keys(const struct hash_key *keys, size_t n, uint64_t *hashes)
{
    for (size_t i = 0; i < n; i++)
        hashes[i] = hash(keys[i].data, keys[i].len);
}
