/* Shuffle files and partitions: what programs cannot show, and all of it under the sanitizers. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oracle.h"
#include "shuffle/partitioner.h"
#include "shuffle/shuffle.h"

enum { MEMORY = 1024 * 1024, FOOTER = 48 };

static struct ordering ordering_of(const char *text)
{
    struct ordering ordering;

    CHECK(oracle_ordering((struct span){text, strlen(text)}, &ordering));
    return ordering;
}

static int shuffled(uint32_t partitions, size_t memory, const char *line, size_t len, int times)
{
    static struct shuffle shuffle;
    int fd = memfd_create("shuffled", 0);

    CHECK(fd >= 0 && shuffle_open(&shuffle, fd, partitions, 0, memory) == 0);
    for (int i = 0; i < times; i++)
        CHECK(shuffle_put(&shuffle, (uint32_t)i % partitions, line, len) == 0);
    CHECK(shuffle_finish(&shuffle) == 0);
    shuffle_end(&shuffle);
    return fd;
}

/* The extents of a partition, one after another. */
static size_t partition_of(int fd, uint32_t partition, char *out)
{
    off_t end = lseek(fd, 0, SEEK_END);
    uint32_t n, first[2];
    uint64_t index;
    size_t used = 0;

    CHECK(pread(fd, &n, 4, end - FOOTER + 12) == 4 && pread(fd, &index, 8, end - FOOTER + 24) == 8);
    CHECK(pread(fd, first, 8, (off_t)index + 4 * partition) == 8);
    for (uint32_t i = first[0]; i < first[1]; i++) {
        size_t extents = index + ((4 * (n + 1) + 7) & ~7u);
        struct extent extent;

        CHECK(pread(fd, &extent, 16, (off_t)(extents + 16 * i)) == 16);
        CHECK(pread(fd, out + used, extent.len, (off_t)extent.at) == (ssize_t)extent.len);
        used += extent.len;
    }
    return used;
}

static void lines_of_any_length_come_back_whole(void)
{
    static char line[3 * SHUFFLE_ROOM_MIN + OUTPUTS_PAD], found[16 * sizeof line];
    static const size_t LENGTHS[] = {
        1, 2, SHUFFLE_ROOM_MIN - 1, SHUFFLE_ROOM_MIN, SHUFFLE_ROOM_MIN + 1, 2 * SHUFFLE_ROOM_MIN, 3 * SHUFFLE_ROOM_MIN};

    memset(line, 'x', sizeof line);
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++)
        for (uint32_t partitions = 1; partitions <= 3; partitions++) {
            int fd = shuffled(partitions, 1, line, LENGTHS[i], 12);

            for (uint32_t partition = 0; partition < partitions; partition++)
                CHECK(partition_of(fd, partition, found) == 12 / partitions * LENGTHS[i]);
            close(fd);
        }
}

static void an_empty_file_has_an_index_too(void)
{
    int fd = shuffled(5000, MEMORY, "", 0, 0);
    char found[1];

    CHECK(partition_of(fd, 4999, found) == 0);
    close(fd);
}

static void a_full_disk_is_told(void)
{
    static struct shuffle shuffle;
    static char line[1000 + OUTPUTS_PAD];

    for (int many = 0; many < 2; many++) { /* written at the end, or by a thread before */
        int fd = open("/dev/full", O_WRONLY), failed = 0;

        CHECK(fd >= 0 && shuffle_open(&shuffle, fd, 3, 0, 1) == 0);
        for (int i = 0; i < (many ? 10000 : 2) && !failed; i++)
            failed = shuffle_put(&shuffle, (uint32_t)i % 3, line, 1000) < 0;
        CHECK(failed || shuffle_finish(&shuffle) < 0);
        shuffle_end(&shuffle);
        CHECK(shuffle.error == ENOSPC);
        close(fd);
    }
}

/* A source of lines in memory. */
static void open_lines(struct source *source, const char *lines)
{
    int fd = memfd_create("lines", 0);

    CHECK(fd >= 0 && write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines) && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(source_open(source, fd, '\n', 64) == 0);
}

static uint32_t choice(struct partitioner *partitioner, const char *line)
{
    char padded[64] = "";

    strcpy(padded, line);
    return partitioner_choose(partitioner, (struct span){padded, strlen(line)});
}

static void borders_divide_lines_by_keys_in_either_direction(void)
{
    static const struct {
        const char *ordering, *borders, *line;
        uint32_t partition;
    } CASES[] = {
        {"\n", "b\nd\n", "a", 0},
        {"\n", "b\nd\n", "c", 1},
        {"\n", "b\nd\n", "e", 2},
        {"r\n", "d\nb\n", "e", 0},
        {"r\n", "d\nb\n", "c", 1},
        {"r\n", "d\nb\n", "a", 2},
        {"s:1,1n\n", "2 x\n10 y\n", "02", 1},
        {"s:1,1n\n", "2 x\n10 y\n", "9", 1},
        {"s:1,1n\n", "2 x\n10 y\n", "1", 0},
        {"s:1,1n\n", "2 x\n10 y\n", "10", 2},
        {"s:1,1nr\n", "10\n2\n", "11", 0},
        {"s:1,1nr\n", "10\n2\n", "1", 2},
        {"\n", "", "a", 0},
    };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ordering ordering = ordering_of(CASES[i].ordering);
        struct partitioner partitioner;
        struct source source;

        open_lines(&source, CASES[i].borders);
        CHECK(partitioner_open(&partitioner, &ordering, 3) == 0 && partitioner_borders(&partitioner, &source) == 0);
        CHECK(choice(&partitioner, CASES[i].line) == CASES[i].partition);
        partitioner_close(&partitioner);
        close(source.fd);
        source_close(&source);
    }
}

static void borders_that_are_none_are_refused(void)
{
    struct ordering ordering = ordering_of("\n");
    struct partitioner partitioner;
    struct source source;

    for (int sorted = 0; sorted < 2; sorted++) {
        open_lines(&source, sorted ? "a\nb\nc\n" : "b\na\n");
        CHECK(partitioner_open(&partitioner, &ordering, 3) == 0 && partitioner_borders(&partitioner, &source) < 0);
        CHECK(strstr(partitioner.why, sorted ? "more borders" : "not sorted"));
        partitioner_close(&partitioner);
        close(source.fd);
        source_close(&source);
    }
}

int main(void)
{
    lines_of_any_length_come_back_whole();
    an_empty_file_has_an_index_too();
    a_full_disk_is_told();
    borders_divide_lines_by_keys_in_either_direction();
    borders_that_are_none_are_refused();
    return 0;
}
