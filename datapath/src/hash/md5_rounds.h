/*
 * The 64 steps of MD5 (RFC 1321), for any type V that adds and shifts: a number or a vector.
 *
 * MD5_BLOCK(V, a, b, c, d, x, more) runs them on the state a, b, c, d with the 16 words
 * x[0] ... x[15]; names ending in 0 and 1 are two independent computations, written side
 * by side so that one runs while the other waits. No function here takes or returns a V:
 * vectors wider than the base machine's have no settled calling convention.
 */
#ifndef REMORA_MD5_ROUNDS_H
#define REMORA_MD5_ROUNDS_H

#include <stdint.h>

#define MD5_A 0x67452301u
#define MD5_B 0xefcdab89u
#define MD5_C 0x98badcfeu
#define MD5_D 0x10325476u

/* The 32 leading bits of |sin(i + 1)|. */
static const uint32_t MD5_K[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

/* The four rounds' functions, such as: bits of b choose between c and d. */
#define MD5_F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define MD5_G(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define MD5_H(b, c, d) ((b) ^ (c) ^ (d))
#define MD5_I(b, c, d) ((c) ^ ((b) | ~(d)))

#define MD5_ONE(f, a, b, c, d, x, k, s)                                                                                \
    (a) += f(b, c, d) + (x) + MD5_K[k];                                                                                \
    (a) = ((a) << (s) | (a) >> (32 - (s))) + (b)

#define MD5_STEP(f, a, b, c, d, w, k, s)                                                                               \
    MD5_ONE(f, a##0, b##0, c##0, d##0, x0[w], k, s);                                                                   \
    MD5_ONE(f, a##1, b##1, c##1, d##1, x1[w], k, s)

/* Four steps: the word of step k is first + k * stride, modulo 16. */
#define MD5_FOUR(f, first, stride, k, s0, s1, s2, s3)                                                                  \
    MD5_STEP(f, a, b, c, d, ((first) + (stride) * ((k) + 0)) % 16, (k) + 0, s0);                                       \
    MD5_STEP(f, d, a, b, c, ((first) + (stride) * ((k) + 1)) % 16, (k) + 1, s1);                                       \
    MD5_STEP(f, c, d, a, b, ((first) + (stride) * ((k) + 2)) % 16, (k) + 2, s2);                                       \
    MD5_STEP(f, b, c, d, a, ((first) + (stride) * ((k) + 3)) % 16, (k) + 3, s3)

#define MD5_ROUND(f, first, stride, k, s0, s1, s2, s3)                                                                 \
    MD5_FOUR(f, first, stride, (k) + 0, s0, s1, s2, s3);                                                               \
    MD5_FOUR(f, first, stride, (k) + 4, s0, s1, s2, s3);                                                               \
    MD5_FOUR(f, first, stride, (k) + 8, s0, s1, s2, s3);                                                               \
    MD5_FOUR(f, first, stride, (k) + 12, s0, s1, s2, s3)

#define MD5_ROUNDS                                                                                                     \
    MD5_ROUND(MD5_F, 0, 1, 0, 7, 12, 17, 22);                                                                          \
    MD5_ROUND(MD5_G, 1, 5, 16, 5, 9, 14, 20);                                                                          \
    MD5_ROUND(MD5_H, 5, 3, 32, 4, 11, 16, 23);                                                                         \
    MD5_ROUND(MD5_I, 0, 7, 48, 6, 10, 15, 21)

#endif
