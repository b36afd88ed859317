/*
 * Any sources, of which any end too early, fed into a pipe: what comes out is all of them.
 *
 * Three bytes describe a source: how long it is, at which byte its first copy breaks off
 * (beyond its end: never), and whether it is a file or a pipe. The feed goes on in a
 * second copy where the first one broke off.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "streams/feed.h"

enum { SOURCES = 16, LONGEST = 16 * 255 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char text[LONGEST];

static int lowest_free(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

/* A source of `len` bytes of the text. One that cannot seek stands where its reader left off. */
static int source_of(size_t len, int is_pipe, size_t skip)
{
    int ends[2];

    if (!is_pipe) {
        int fd = memfd_create("fuzz", 0);

        CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
        return fd;
    }
    CHECK(pipe2(ends, O_NONBLOCK) == 0 && write(ends[1], text + skip, len - skip) == (ssize_t)(len - skip));
    close(ends[1]);
    return ends[0];
}

static void is_all(int fd, const uint64_t *sizes, size_t n)
{
    static char got[LONGEST + 1];
    ssize_t len;

    for (size_t i = 0; i < n; i++) {
        size_t have = 0;

        while (have < sizes[i] && (len = read(fd, got + have, sizes[i] - have)) > 0)
            have += (size_t)len;
        CHECK(have == sizes[i] && memcmp(got, text, have) == 0);
    }
    CHECK(read(fd, got, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size / 3 < SOURCES ? size / 3 : SOURCES;
    int srcs[SOURCES], ends[2], before = lowest_free();
    static const uint64_t whole[SOURCES];
    uint64_t sizes[SOURCES];
    size_t index = 0, broken = 0;
    off_t offset = 0;
    enum feed_result result;

    for (size_t i = 0; i < LONGEST; i++)
        text[i] = (char)(i * 7 + i / 256);
    for (size_t i = 0; i < n; i++) {
        size_t there;

        sizes[i] = 16 * (size_t)data[3 * i];
        there = 16 * (size_t)data[3 * i + 1] + 1;
        srcs[i] = source_of(there < sizes[i] ? there : sizes[i], data[3 * i + 2] % 2, 0);
        broken += there < sizes[i];
    }
    CHECK(feed_pipe(ends, 1024 * 1024) >= SOURCES * LONGEST);
    while ((result = feed_many(srcs, whole, sizes, n, ends[1], -1, &index, &offset)) == FEED_EOF) {
        CHECK(index < n && broken-- > 0 && offset < (off_t)sizes[index]);
        close(srcs[index]);
        srcs[index] = source_of(sizes[index], data[3 * index + 2] % 2, (size_t)offset);
    }
    CHECK(result == FEED_DONE && index == n && offset == 0 && broken == 0);
    close(ends[1]);
    is_all(ends[0], sizes, n);
    close(ends[0]);
    for (size_t i = 0; i < n; i++)
        close(srcs[i]);
    CHECK(lowest_free() == before);
    return 0;
}
