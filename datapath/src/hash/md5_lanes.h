/*
 * Keys in lanes, written once for every width: md5.c includes this with LANES, NAME and TARGET set.
 *
 * NAME(keys, n, first): the first words of `n` keys, at most 2 * LANES of them. Keys longer
 * than MD5_SHORT get a number that means nothing.
 */
typedef uint32_t TYPE(NAME) __attribute__((vector_size(4 * LANES), may_alias));

TARGET static void NAME(const struct hash_key *keys, size_t n, uint32_t *first)
{
    /* words[g][w][i] is word w of the padded block of key g * LANES + i: transposed, as registers want it. */
    uint32_t words[2][16][LANES] __attribute__((aligned(4 * LANES)));
    const TYPE(NAME) *x0 = (const TYPE(NAME) *)words[0];
    const TYPE(NAME) *x1 = (const TYPE(NAME) *)words[1];
    const TYPE(NAME) zero = {0};
    TYPE(NAME) a0 = zero + MD5_A, b0 = zero + MD5_B, c0 = zero + MD5_C, d0 = zero + MD5_D;
    TYPE(NAME) a1 = a0, b1 = b0, c1 = c0, d1 = d0;
    uint32_t out[2][LANES] __attribute__((aligned(4 * LANES)));

    memset(words, 0, sizeof words);
    for (size_t i = 0; i < n; i++)
        if (keys[i].len <= MD5_SHORT)
            put_block(&words[i / LANES][0][i % LANES], LANES, keys[i].data, keys[i].len);
    MD5_ROUNDS;
    /* Only the first word is needed, so the compiler drops the last steps of b, c and d. */
    *(TYPE(NAME) *)out[0] = a0 + MD5_A;
    *(TYPE(NAME) *)out[1] = a1 + MD5_A;
    for (size_t i = 0; i < n; i++)
        first[i] = __builtin_bswap32(out[i / LANES][i % LANES]);
}

#undef LANES
#undef NAME
#undef TARGET
