/* Edges of ranges at lines: every position of small texts, and lines longer than a block. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "streams/slice.h"

enum { LONGEST = 200000 };

static int file_of(const char *text, size_t len)
{
    int fd = memfd_create("slice", MFD_CLOEXEC);

    CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    return fd;
}

/* The definition, byte by byte. */
static off_t first_line(const char *text, off_t at, off_t size)
{
    for (off_t i = at; i < size; i++)
        if (i == 0 || text[i - 1] == '\n')
            return i;
    return size;
}

static void every_edge_is_where_the_definition_says(void)
{
    static const char *const texts[] = {"", "\n", "a", "a\n", "\na", "ab\ncd\n\nef", "\n\n\n", "abc\n\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        off_t size = (off_t)strlen(texts[i]);
        int fd = file_of(texts[i], (size_t)size);

        for (off_t at = 0; at <= size; at++)
            CHECK(slice_begin(fd, at, size, '\n', LONGEST) == first_line(texts[i], at, size));
        close(fd);
    }
}

static void lines_may_be_longer_than_a_block(void)
{
    char *text = malloc(LONGEST);
    int fd;

    CHECK(text != NULL);
    memset(text, 'x', LONGEST);
    text[150000] = '\n';
    fd = file_of(text, LONGEST);
    CHECK(slice_begin(fd, 1, LONGEST, '\n', LONGEST) == 150001);
    CHECK(slice_begin(fd, 150000, LONGEST, '\n', LONGEST) == 150001);
    CHECK(slice_begin(fd, 150001, LONGEST, '\n', LONGEST) == 150001);
    CHECK(slice_begin(fd, 150002, LONGEST, '\n', LONGEST) == LONGEST);
    CHECK(slice_begin(fd, 1, LONGEST, '\n', 70000) == -1 && errno == EOVERFLOW);
    close(fd);
    free(text);
}

static void another_byte_may_end_lines(void)
{
    int fd = file_of("a\nb\0c\0", 6);

    CHECK(slice_begin(fd, 1, 6, '\0', LONGEST) == 4);
    close(fd);
}

static void a_file_that_is_shorter_than_it_was_said_is_an_error(void)
{
    int fd = file_of("abc", 3);

    CHECK(slice_begin(fd, 2, 10, '\n', LONGEST) == -1 && errno == ENODATA);
    CHECK(slice_begin(-1, 2, 10, '\n', LONGEST) == -1 && errno == EBADF);
    close(fd);
}

static void lines_are_counted_and_skipped(void)
{
    static const char *const texts[] = {"", "\n", "a", "a\n", "\na", "ab\ncd\n\nef", "\n\n\n", "abc\n\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        off_t size = (off_t)strlen(texts[i]), at = 0;
        int fd = file_of(texts[i], (size_t)size);
        int64_t lines = 0;

        for (; at < size; at = first_line(texts[i], at + 1, size), lines++) {
            CHECK(slice_skip(fd, 0, size, '\n', (uint64_t)lines) == at);
            CHECK(slice_count(fd, 0, at, '\n') == lines);
        }
        CHECK(slice_count(fd, 0, size, '\n') == lines);
        CHECK(slice_skip(fd, 0, size, '\n', (uint64_t)lines) == size);
        CHECK(slice_skip(fd, 0, size, '\n', (uint64_t)lines + 1) == size);
        close(fd);
    }
}

/* The definition, line by line. */
static off_t first_long(const char *text, off_t from, off_t to, off_t longest)
{
    for (off_t begin = from, end; begin < to; begin = end + 1) {
        for (end = begin; end < to && text[end] != '\n'; end++)
            ;
        if (end - begin > longest)
            return begin;
    }
    return to;
}

static void a_line_that_is_too_long_is_found(void)
{
    static const char *const texts[] = {
        "", "\n", "abcd", "abcde\n", "ab\ncdefgh\n\nef", "abcdefghi\nabc", "a\n\nabc\nabcdefgh"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        off_t size = (off_t)strlen(texts[i]);
        int fd = file_of(texts[i], (size_t)size);

        for (off_t longest = 1; longest <= size + 1; longest++)
            for (off_t from = 0; from <= size; from = first_line(texts[i], from + 1, size) + (from == size))
                for (off_t to = from; to <= size; to++)
                    CHECK(slice_long(fd, from, to, '\n', (uint64_t)longest) == first_long(texts[i], from, to, longest));
        close(fd);
    }
}

static void a_long_line_may_span_many_blocks(void)
{
    char *text = malloc(LONGEST);
    int fd;

    CHECK(text != NULL);
    memset(text, 'x', LONGEST);
    for (int i = 0; i < 10000; i++)
        text[i * 5] = '\n';
    text[199990] = '\n';
    fd = file_of(text, LONGEST);
    CHECK(slice_long(fd, 0, LONGEST, '\n', 70000) == 49996);
    CHECK(slice_long(fd, 0, LONGEST, '\n', 149994) == LONGEST);
    CHECK(slice_long(fd, 0, LONGEST, '\n', 149993) == 49996);
    close(fd);
    free(text);
}

int main(void)
{
    lines_are_counted_and_skipped();
    every_edge_is_where_the_definition_says();
    lines_may_be_longer_than_a_block();
    a_line_that_is_too_long_is_found();
    a_long_line_may_span_many_blocks();
    another_byte_may_end_lines();
    a_file_that_is_shorter_than_it_was_said_is_an_error();
    return 0;
}
