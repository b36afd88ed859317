/* The hashes and marks in every width that this machine has, against the plain way. */
#include "check.h"
#include "hash/md5.h"
#include "hash/xxh3.h"
#include "text/marks.h"

enum { KEYS = 300 };

static unsigned char bytes[KEYS * 8];
static struct hash_key keys[KEYS];

/* Keys of 0 to 299 bytes, each ending where an allocation ends, so that a read beyond is seen. */
static void make_keys(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < KEYS; i++) {
        unsigned char *copy = malloc(i ? i : 1);

        CHECK(copy);
        memcpy(copy, bytes + i, i);
        keys[i] = (struct hash_key){copy, i};
    }
}

static void md5_gives_the_published_digests(void)
{
    const struct hash_key known[] = {{NULL, 0}, {(const unsigned char *)"a", 1}, {(const unsigned char *)"foo", 3}};
    uint32_t first[3];

    md5_first(known, 3, first);
    CHECK(first[0] == 0xd41d8cd9 && first[1] == 0x0cc175b9 && first[2] == 0xacbd18db);
    static const unsigned char of_foo[] = {0xac, 0xbd, 0x18, 0xdb, 0x4c, 0xc2, 0xf8, 0x5c,
                                           0xed, 0xef, 0x65, 0x4f, 0xcc, 0xc4, 0xa4, 0xd8};
    unsigned char digest[MD5_SIZE];

    md5_digest((const unsigned char *)"foo", 3, digest);
    CHECK(memcmp(digest, of_foo, MD5_SIZE) == 0);
}

static void md5_is_the_same_in_all_lanes_and_for_any_number_of_keys(void)
{
    uint32_t alone[KEYS], lanes[KEYS + 1];

    CHECK(md5_first_in(1, keys, KEYS, alone) == 0);
    for (unsigned width = 4; width <= 16; width *= 2) {
        for (size_t n = 0; n <= KEYS; n += n < 70 ? 1 : 23) {
            lanes[n] = 0xfeedface;
            if (md5_first_in(width, keys + KEYS - n, n, lanes) < 0)
                break;
            CHECK(memcmp(lanes, alone + KEYS - n, n * sizeof *lanes) == 0);
            CHECK(lanes[n] == 0xfeedface);
        }
    }
    CHECK(md5_first_in(2, keys, 1, lanes) == -1 && md5_first_in(32, keys, 1, lanes) == -1);
}

static void xxh3_gives_the_published_hashes(void)
{
    uint64_t hash;
    const struct hash_key empty = {NULL, 0};

    CHECK(xxh3_64(NULL, 0) == 0x2d06800538d394c2);
    xxh3_keys(&empty, 1, &hash);
    CHECK(hash == 0x2d06800538d394c2);
    for (size_t i = 0; i < KEYS; i++) /* reads inside of its key, for every class of lengths */
        xxh3_keys(&keys[i], 1, &hash);
}

static void marks_are_the_same_with_and_without_vectors(void)
{
    char text[4 * MARKS_BLOCK + 1];
    uint64_t ends[4], delimiters[4], plain_ends[4], plain_delimiters[4];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "\n\r\tab,"[bytes[i] % 6];
    marks_find(text + 1, 4, ',', ends, delimiters); /* text begins anywhere */
    marks_find_plain(text + 1, 4, ',', plain_ends, plain_delimiters);
    CHECK(memcmp(ends, plain_ends, sizeof ends) == 0);
    CHECK(memcmp(delimiters, plain_delimiters, sizeof delimiters) == 0);
}

static void the_next_mark_is_found_across_blocks_and_not_beyond_the_limit(void)
{
    const uint64_t marks[4] = {1, 0, UINT64_C(1) << 63, 0};

    CHECK(marks_next(marks, 0, 192) == 0);
    CHECK(marks_next(marks, 1, 192) == 191);
    CHECK(marks_next(marks, 1, 191) == 191);
    CHECK(marks_next(marks, 1, 100) == 100);
    CHECK(marks_next(marks, 64, 192) == 191);
    CHECK(marks_next(marks, 5, 5) == 5 && marks_next(marks, 7, 5) == 5);
}

int main(void)
{
    make_keys();
    md5_gives_the_published_digests();
    md5_is_the_same_in_all_lanes_and_for_any_number_of_keys();
    xxh3_gives_the_published_hashes();
    marks_are_the_same_with_and_without_vectors();
    the_next_mark_is_found_across_blocks_and_not_beyond_the_limit();
    for (size_t i = 0; i < KEYS; i++)
        free((void *)keys[i].data);
    return 0;
}
