#include "text/marks.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

void marks_find_plain(const char *text, size_t blocks, char delimiter, uint64_t *ends, uint64_t *delimiters)
{
    for (size_t b = 0; b < blocks; b++) {
        ends[b] = delimiters[b] = 0;
        for (size_t i = 0; i < MARKS_BLOCK; i++) {
            char byte = text[MARKS_BLOCK * b + i];

            ends[b] |= (uint64_t)(byte == '\n' || byte == '\r') << i;
            delimiters[b] |= (uint64_t)(byte == delimiter) << i;
        }
    }
}

#ifdef __x86_64__
/* The 16 result bits of 16 bytes, at their position in the block's 64. */
static inline uint64_t bits16(__m128i matches, size_t at)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(matches) << at;
}

static void find_sse2(const char *text, size_t blocks, char delimiter, uint64_t *ends, uint64_t *delimiters)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r'), sought = _mm_set1_epi8(delimiter);

    for (size_t b = 0; b < blocks; b++) {
        uint64_t end = 0, delim = 0;

        for (size_t i = 0; i < MARKS_BLOCK; i += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(text + MARKS_BLOCK * b + i));

            end |= bits16(_mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr)), i);
            delim |= bits16(_mm_cmpeq_epi8(bytes, sought), i);
        }
        ends[b] = end;
        delimiters[b] = delim;
    }
}

__attribute__((target("avx512f,avx512bw"))) static void find_avx512(const char *text, size_t blocks, char delimiter,
                                                                    uint64_t *ends, uint64_t *delimiters)
{
    const __m512i lf = _mm512_set1_epi8('\n'), cr = _mm512_set1_epi8('\r'), sought = _mm512_set1_epi8(delimiter);

    for (size_t b = 0; b < blocks; b++) {
        __m512i bytes = _mm512_loadu_si512(text + MARKS_BLOCK * b);

        ends[b] = _mm512_cmpeq_epi8_mask(bytes, lf) | _mm512_cmpeq_epi8_mask(bytes, cr);
        delimiters[b] = _mm512_cmpeq_epi8_mask(bytes, sought);
    }
}
#endif

void marks_find(const char *text, size_t blocks, char delimiter, uint64_t *ends, uint64_t *delimiters)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512bw"))
        find_avx512(text, blocks, delimiter, ends, delimiters);
    else
        find_sse2(text, blocks, delimiter, ends, delimiters);
#else
    marks_find_plain(text, blocks, delimiter, ends, delimiters);
#endif
}
