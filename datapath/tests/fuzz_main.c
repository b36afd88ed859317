/*
 * Drives a fuzz target where there is no libFuzzer: mutates the target's seeds with a
 * fixed random sequence, a bounded number of times, so that every run is the same run.
 *
 * A target is a file with LLVMFuzzerTestOneInput, as libFuzzer and AFL++ want it, and
 * fuzz_seed, which writes its i-th example input and returns its length (0: no more).
 *
 * usage: fuzz_NAME [iterations [seed]]
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned i, uint8_t *data, size_t cap);

enum { CAP = 4096, ITERATIONS = 20000 };

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* One small change: a byte, a bit, a number at the edge, a cut, or a repetition. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint32_t edges[] = {0, 1, 0x7f, 0xff, 0x7fffffff, 0x80000000, 0xffffffff};
    size_t at = size ? next() % size : 0;

    switch (size ? next() % 5 : 4) {
    case 0:
        data[at] = (uint8_t)next();
        return size;
    case 1:
        data[at] ^= (uint8_t)(1u << next() % 8);
        return size;
    case 2:
        if (size - at >= sizeof(uint32_t))
            memcpy(data + at, &edges[next() % 7], sizeof(uint32_t));
        return size;
    case 3:
        return at;
    default:
        if (size < CAP / 2) {
            memmove(data + size, data + at, size - at);
            size += size - at;
        }
        if (size < CAP)
            data[size++] = (uint8_t)next();
        return size;
    }
}

/* A copy of exact size, so that a sanitizer sees a read beyond it. */
static void try(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    uint64_t iterations = argc > 1 ? strtoull(argv[1], NULL, 10) : ITERATIONS;
    uint8_t data[CAP];
    unsigned seeds = 0;

    state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 0x9e3779b97f4a7c15;
    printf("%" PRIu64 " iterations, seed %" PRIu64 "\n", iterations, state);
    while (fuzz_seed(seeds, data, CAP) > 0)
        seeds++;
    for (uint64_t i = 0; i < iterations; i++) {
        size_t size = seeds ? fuzz_seed((unsigned)(next() % seeds), data, CAP) : 0;
        for (uint64_t changes = next() % 8; changes > 0; changes--)
            size = mutate(data, size);
        try(data, size);
    }
    return 0;
}
