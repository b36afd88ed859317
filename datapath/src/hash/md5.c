#include "hash/md5.h"

#include <string.h>

#include "md5_rounds.h"
#include "words.h"

/* Write the padded block of a key of one block, its words `stride` apart; the words are 0 before. */
static inline void put_block(uint32_t *words, size_t stride, const unsigned char *data, size_t len)
{
    size_t whole = len / 4;
    uint32_t last = 0x80u << 8 * (len % 4);

    for (size_t w = 0; w < whole; w++)
        words[w * stride] = read32(data + 4 * w);
    for (size_t i = 4 * whole; i < len; i++)
        last |= (uint32_t)data[i] << 8 * (i % 4);
    words[whole * stride] = last;
    words[14 * stride] = (uint32_t)len * 8;
}

#define TYPE_OF(name) name##_vector
#define TYPE(name) TYPE_OF(name)

/* Four lanes need no special target: every compiler has them for every current machine. */
#define LANES 4
#define NAME lanes4
#define TARGET
#include "md5_lanes.h"

#ifdef __x86_64__
#define LANES 8
#define NAME lanes8
#define TARGET __attribute__((target("avx2")))
#include "md5_lanes.h"

#define LANES 16
#define NAME lanes16
#define TARGET __attribute__((target("avx512f")))
#include "md5_lanes.h"
#endif

static void block(uint32_t state[4], const uint32_t x0[16])
{
    uint32_t a0 = state[0], b0 = state[1], c0 = state[2], d0 = state[3];
    /* The second computation of the pair is unused here, and optimized away. */
    const uint32_t *x1 = x0;
    uint32_t a1 = 0, b1 = 0, c1 = 0, d1 = 0;

    MD5_ROUNDS;
    (void)b1;
    state[0] += a0;
    state[1] += b0;
    state[2] += c0;
    state[3] += d0;
}

static void block_at(uint32_t state[4], const unsigned char *data)
{
    uint32_t words[16];

    for (size_t w = 0; w < 16; w++)
        words[w] = read32(data + 4 * w);
    block(state, words);
}

/* Hash bytes of any number; `state` becomes the words of their digest. */
static void whole(const unsigned char *data, size_t len, uint32_t state[4])
{
    uint32_t words[32] = {0};
    size_t rest = len % 64;
    size_t blocks = rest <= MD5_SHORT ? 1 : 2;

    state[0] = MD5_A;
    state[1] = MD5_B;
    state[2] = MD5_C;
    state[3] = MD5_D;
    for (size_t i = 0; i + 64 <= len; i += 64)
        block_at(state, data + i);
    for (size_t i = 0; i < rest; i++)
        words[i / 4] |= (uint32_t)data[len - rest + i] << 8 * (i % 4);
    words[rest / 4] |= 0x80u << 8 * (rest % 4);
    words[16 * blocks - 2] = (uint32_t)(len << 3);
    words[16 * blocks - 1] = (uint32_t)((uint64_t)len >> 29);
    for (size_t i = 0; i < blocks; i++)
        block(state, words + 16 * i);
}

static uint32_t first_alone(const unsigned char *data, size_t len)
{
    uint32_t state[4];

    whole(data, len, state);
    return __builtin_bswap32(state[0]);
}

void md5_digest(const unsigned char *data, size_t len, unsigned char digest[MD5_SIZE])
{
    uint32_t state[4];

    whole(data, len, state);
    for (size_t i = 0; i < MD5_SIZE; i++)
        digest[i] = (unsigned char)(state[i / 4] >> 8 * (i % 4));
}

static unsigned best_lanes(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return 16;
    if (__builtin_cpu_supports("avx2"))
        return 8;
#endif
    return 4;
}

static void first_of_group(unsigned lanes, const struct hash_key *keys, size_t n, uint32_t *first)
{
#ifdef __x86_64__
    if (lanes == 16)
        lanes16(keys, n, first);
    else if (lanes == 8)
        lanes8(keys, n, first);
    else
#endif
        if (lanes == 4)
        lanes4(keys, n, first);
    for (size_t i = 0; i < n; i++)
        if (lanes == 1 || keys[i].len > MD5_SHORT)
            first[i] = first_alone(keys[i].data, keys[i].len);
}

int md5_first_in(unsigned lanes, const struct hash_key *keys, size_t n, uint32_t *first)
{
    if ((lanes != 1 && lanes != 4 && lanes != 8 && lanes != 16) || lanes > best_lanes())
        return -1;
    for (size_t i = 0; i < n; i += 2 * lanes)
        first_of_group(lanes, keys + i, n - i < 2 * lanes ? n - i : 2 * lanes, first + i);
    return 0;
}

void md5_first(const struct hash_key *keys, size_t n, uint32_t *first)
{
    md5_first_in(best_lanes(), keys, n, first);
}
