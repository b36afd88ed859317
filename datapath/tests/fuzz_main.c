/*
 * Drives a fuzz target where there is no libFuzzer: takes every file of the corpus as it
 * is, then small changes of them, in a fixed random sequence, a bounded number of times,
 * so that every run is the same run.
 *
 * A target is a file with LLVMFuzzerTestOneInput, as libFuzzer and AFL++ want it.
 *
 * usage: fuzz_NAME CORPUS [iterations [seed]]
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static size_t load(const char *folder, const char *name, uint8_t *data)
{
    char path[4096];
    size_t size;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!(file = fopen(path, "rb"))) {
        perror(path);
        exit(2);
    }
    size = fread(data, 1, CAP, file);
    fclose(file);
    return size;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    uint64_t iterations = argc > 2 ? strtoull(argv[2], NULL, 10) : ITERATIONS;
    struct dirent **files;
    uint8_t data[CAP];
    int n;

    if (argc < 2 || (n = scandir(argv[1], &files, is_visible, alphasort)) <= 0) {
        fprintf(stderr, "usage: %s CORPUS [iterations [seed]], where CORPUS is a folder of files\n", argv[0]);
        return 2;
    }
    state = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : 0x9e3779b97f4a7c15;
    printf("%d files, %" PRIu64 " iterations, seed %" PRIu64 "\n", n, iterations, state);
    for (int i = 0; i < n; i++)
        try(data, load(argv[1], files[i]->d_name, data));
    for (uint64_t i = 0; i < iterations; i++) {
        size_t size = load(argv[1], files[next() % (unsigned)n]->d_name, data);

        for (uint64_t changes = next() % 8; changes > 0; changes--)
            size = mutate(data, size);
        try(data, size);
    }
    for (int i = 0; i < n; i++)
        free(files[i]);
    free(files);
    return 0;
}
