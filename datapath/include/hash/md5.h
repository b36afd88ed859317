/*
 * md5 - the first 32 bits of the MD5 of many short keys at once, for routing; and the MD5 of a small file.
 *
 * One MD5 is a chain of 64 steps, each waiting for the one before, so a core computing
 * one is mostly idle. Keys, however, come by the hundred and do not depend on each other.
 * So lane i of a vector register computes key i: 4 keys at once in any machine's vectors,
 * 8 with AVX2, 16 with AVX-512, and two such groups interleaved to fill the pipeline.
 *
 * Only keys of one block (up to MD5_SHORT bytes) can be computed together; longer ones
 * are hashed alone. MD5 is used because the original msplit routes by it, and not for
 * security.
 */
#ifndef REMORA_MD5_H
#define REMORA_MD5_H

#include <stddef.h>
#include <stdint.h>

#include "hash/hash_key.h"

enum { MD5_SHORT = 55 }; /* a block of 64 bytes, less one bit of padding and 8 bytes of length */
enum { MD5_SIZE = 16 };  /* bytes of a digest */

/* cffi begin */
/*
 * md5_first - the first 32 bits of the MD5 of each key, read big-endian.
 *
 * That is the number that the first 8 hex digits of the digest spell: 0xd41d8cd9 for an
 * empty key. first[i] belongs to keys[i].
 */
void md5_first(const struct hash_key *keys, size_t n, uint32_t *first);

/* md5_first_in - the same in `lanes` lanes: 1, 4, 8 or 16. Returns 0, or -1 if this machine has no such vectors. */
int md5_first_in(unsigned lanes, const struct hash_key *keys, size_t n, uint32_t *first);
/* cffi end */

/* md5_digest - the MD5 of `len` bytes. */
void md5_digest(const unsigned char *data, size_t len, unsigned char digest[MD5_SIZE]);

#endif
