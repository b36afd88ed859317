/*
 * Any text, split with any small buffer, compared with the plainest way to do it.
 *
 * The first five bytes choose hash, reducers, fields, delimiter and buffer; the rest is text.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "hash/md5.h"
#include "hash/xxh3.h"
#include "split/split.h"

enum { REDUCERS = 3, TEXT = 4096, HEAD = 5 };

struct part {
    char data[2 * TEXT];
    size_t len;
};

static const struct {
    uint32_t list[3];
    size_t n;
} FIELDS[] = {{{1}, 1}, {{2}, 1}, {{3, 1}, 2}, {{1, 2, 1}, 3}};
static const char *const DELIMITERS[] = {"\t", ",", "::", "ab"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The n-th field of line[0] ... line[len - 1], from 1; returns its length, 0 if it has none. */
static size_t field(const char *line, size_t len, uint32_t n, const char *delimiter, const char **at)
{
    size_t width = strlen(delimiter);

    for (;;) {
        const char *stop = memmem(line, len, delimiter, width);
        size_t here = stop ? (size_t)(stop - line) : len;

        *at = line;
        if (--n == 0 || !stop)
            return n == 0 ? here : 0;
        line += here + width;
        len -= here + width;
    }
}

static uint32_t reducer_of(const struct split_spec *spec, const char *line, size_t len)
{
    char key[3 * TEXT + 8];
    size_t used = 0;
    uint32_t first;

    for (size_t i = 0; i < spec->nfields; i++) {
        const char *at;
        size_t n = field(line, len, spec->fields[i], spec->delimiter, &at);

        if (n > 0 && used > 0)
            used += (size_t)sprintf(key + used, "%s", spec->delimiter);
        memcpy(key + used, at, n);
        used += n;
    }
    struct hash_key whole = {(const unsigned char *)key, used};
    md5_first_in(1, &whole, 1, &first);
    return (uint32_t)((spec->by == SPLIT_MD5 ? first : xxh3_64(whole.data, used)) % spec->reducers);
}

static void split_plainly(const struct split_spec *spec, const char *text, size_t size, struct part *parts)
{
    while (size > 0) {
        size_t len = 0;

        while (len < size && text[len] != '\n' && text[len] != '\r')
            len++;
        struct part *part = &parts[reducer_of(spec, text, len)];
        memcpy(part->data + part->len, text, len);
        part->len += len;
        part->data[part->len++] = '\n';
        len += (len + 1 < size && text[len] == '\r' && text[len + 1] == '\n') + (len < size);
        text += len;
        size -= len;
    }
}

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("fuzz", 0);

    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct part expected[REDUCERS];
    static char got[2 * TEXT];
    struct split_report report;
    int outputs[REDUCERS];

    if (size < HEAD || size > TEXT)
        return 0;
    const struct split_spec spec = {.by = data[0] % 2 ? SPLIT_XXH3 : SPLIT_MD5,
                                    .reducers = 1 + data[1] % REDUCERS,
                                    .fields = FIELDS[data[2] % 4].list,
                                    .nfields = FIELDS[data[2] % 4].n,
                                    .delimiter = DELIMITERS[data[3] % 4],
                                    .delimiter_len = strlen(DELIMITERS[data[3] % 4]),
                                    .buffer = data[4]};
    int source = file_of(data + HEAD, size - HEAD);

    for (uint32_t i = 0; i < spec.reducers; i++) {
        outputs[i] = file_of("", 0);
        expected[i].len = 0;
    }
    split_plainly(&spec, (const char *)data + HEAD, size - HEAD, expected);
    CHECK(split_run(&spec, source, outputs, &report) == SPLIT_DONE);
    for (uint32_t i = 0; i < spec.reducers; i++) {
        CHECK(pread(outputs[i], got, sizeof got, 0) == (ssize_t)expected[i].len);
        CHECK(memcmp(got, expected[i].data, expected[i].len) == 0);
        close(outputs[i]);
    }
    close(source);
    return 0;
}
