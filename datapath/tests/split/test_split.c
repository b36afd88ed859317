/* Splitting: keys, ends of lines, lines longer than buffers, and what can fail. */
#define EVERY(array) (sizeof(array) / sizeof *(array))
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "split/split.h"
#include "text/fields.h"

static const uint32_t FIRST[] = {1};
static int parts[SPLIT_REDUCERS];
static char text[64 * 1024];

static int file_of(const char *data, size_t len)
{
    int fd = memfd_create("test", 0);

    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Split `input`; the parts are left in parts[]. */
static enum split_result split_text(const struct split_spec *spec, const char *input, size_t len,
                                    struct split_report *report)
{
    int source = file_of(input, len);
    enum split_result result;

    for (uint32_t i = 0; i < spec->reducers; i++)
        parts[i] = file_of("", 0);
    result = split_run(spec, source, parts, report);
    close(source);
    return result;
}

/* Does part `i` hold exactly `expected`? Closes it. */
static int part_is(uint32_t i, const char *expected)
{
    ssize_t got = pread(parts[i], text, sizeof text, 0);

    close(parts[i]);
    return got == (ssize_t)strlen(expected) && memcmp(text, expected, (size_t)got) == 0;
}

static struct split_spec spec_of(enum split_by by, uint32_t reducers, const uint32_t *fields, size_t n)
{
    return (struct split_spec){
        .by = by, .reducers = reducers, .fields = fields, .nfields = n, .delimiter = ",", .delimiter_len = 1};
}

static void lines_end_in_lf_however_they_ended(void)
{
    struct split_spec spec = spec_of(SPLIT_MD5, 1, FIRST, 1);
    struct split_report report;
    static const char *const cases[][2] = {
        {"", ""},         {"a", "a\n"},       {"a\n", "a\n"},       {"a\r\nb", "a\nb\n"}, {"a\rb\r", "a\nb\n"},
        {"\n\n", "\n\n"}, {"\r\r\n", "\n\n"}, {"\r\n\r\n", "\n\n"}, {"\n\r", "\n\n"},     {"a\r\n\rb", "a\n\nb\n"},
    };

    for (size_t i = 0; i < EVERY(cases); i++)
        for (spec.buffer = 0; spec.buffer < 6; spec.buffer++) {
            CHECK(split_text(&spec, cases[i][0], strlen(cases[i][0]), &report) == SPLIT_DONE);
            CHECK(part_is(0, cases[i][1]));
        }
}

static void keys_leave_out_what_is_missing_or_empty(void)
{
    static const uint32_t list[] = {3, 1, 3};
    static const char *const cases[][2] = {{"a,b,c", "c,a,c"}, {"a,b", "a"}, {",b", ""},    {"a,,c,d", "c,a,c"},
                                           {"", ""},           {",,", ""},   {",,c", "c,c"}};
    struct fields fields;
    char room[64];

    CHECK(fields_init(&fields, list, 3, ",", 1) == 0);
    for (size_t i = 0; i < EVERY(cases); i++) {
        struct hash_key key;

        fields_find(&fields, cases[i][0], NULL, 0, strlen(cases[i][0]));
        CHECK(fields_room(&fields) <= sizeof room);
        key = fields_key(&fields, room);
        CHECK(key.len == strlen(cases[i][1]) && memcmp(key.data, cases[i][1], key.len) == 0);
    }
}

static void a_delimiter_may_be_long_and_is_found_without_overlap(void)
{
    static const uint32_t second[] = {2};
    struct split_spec spec = spec_of(SPLIT_INDEX, 3, second, 1);
    struct split_report report;

    spec.delimiter = "::";
    spec.delimiter_len = 2;
    CHECK(split_text(&spec, "x::2\ny:::1\nz::0::9\n", 19, &report) == SPLIT_KEY); /* ":1" is no number */
    for (uint32_t i = 0; i < 3; i++)
        close(parts[i]);
    CHECK(split_text(&spec, "x::2\ny::1::\nz::0\n", 17, &report) == SPLIT_DONE && report.lines == 3);
    CHECK(part_is(0, "z::0\n") && part_is(1, "y::1::\n") && part_is(2, "x::2\n"));
}

static void a_line_longer_than_the_buffer_is_passed_on_when_its_key_is_known(void)
{
    struct split_spec spec = spec_of(SPLIT_INDEX, 2, FIRST, 1);
    struct split_report report;
    static char input[3000], expected[3000];

    memset(input, 'x', sizeof input);
    memcpy(input, "1,", 2);
    memcpy(input + 2500, "\r\n0,y\r\n", 7);
    memcpy(expected, input, 2500);
    memcpy(expected + 2500, "\n", 2);
    for (spec.buffer = 2; spec.buffer < 2600; spec.buffer += 37) {
        CHECK(split_text(&spec, input, 2507, &report) == SPLIT_DONE && report.lines == 2);
        CHECK(part_is(0, "0,y\n") && part_is(1, expected));
    }
}

static void a_key_longer_than_the_buffer_is_held_until_it_is_whole(void)
{
    static const uint32_t last[] = {2, 1};
    struct split_spec spec = spec_of(SPLIT_MD5, 2, last, 2);
    struct split_report report;
    static char input[1001];

    memset(input, 'k', 1000);
    input[500] = ',';
    spec.buffer = 16;
    CHECK(split_text(&spec, input, 1000, &report) == SPLIT_DONE && report.lines == 1);
    CHECK(lseek(parts[0], 0, SEEK_END) + lseek(parts[1], 0, SEEK_END) == 1001);
    close(parts[0]);
    close(parts[1]);
}

static void an_index_that_is_none_stops_the_split_and_is_named(void)
{
    static const char *const bad[][2] = {{"x,y\n", "Parsed x as NaN out of line: x,y"},
                                         {"2,y\n", "Parsed 2 as 2 out of line: 2,y"},
                                         {"-1,y\n", "Parsed -1 as -1 out of line: -1,y"},
                                         {"\n", "Parsed  as NaN out of line: "},
                                         {"99999999999999999999\n", "Parsed 99999999999999999999 as "}};
    struct split_spec spec = spec_of(SPLIT_INDEX, 2, FIRST, 1);
    struct split_report report;

    for (size_t i = 0; i < EVERY(bad); i++) {
        CHECK(split_text(&spec, bad[i][0], strlen(bad[i][0]), &report) == SPLIT_KEY);
        CHECK(strncmp(report.message, bad[i][1], strlen(bad[i][1])) == 0);
        CHECK(strstr(report.message, "\nWhich is not a number or not within the valid range of reducers."));
        close(parts[0]);
        close(parts[1]);
    }
    CHECK(split_text(&spec, " 1x\n+0\n", 7, &report) == SPLIT_DONE);
    CHECK(part_is(0, "+0\n") && part_is(1, " 1x\n"));
}

/* Both for little output, which the caller's thread writes, and for much, which the writer does. */
static void a_full_disk_is_named_with_the_reducer(void)
{
    struct split_spec spec = spec_of(SPLIT_INDEX, 2, FIRST, 1);
    struct split_report report;
    size_t len = 4 * 1000 * 1000;
    char *input = malloc(len);
    int outputs[2] = {file_of("", 0), open("/dev/full", O_WRONLY)};

    CHECK(input && outputs[1] >= 0);
    for (size_t i = 0; i < len; i += 2)
        memcpy(input + i, "1\n", 2);
    for (size_t size = 2; size <= len; size *= len / 2) {
        int source = file_of(input, size);

        CHECK(split_run(&spec, source, outputs, &report) == SPLIT_WRITE);
        CHECK(report.reducer == 1 && report.error == ENOSPC);
        CHECK(strcmp(report.message, "cannot write the part of reducer 1: no space left on the disk of this node") ==
              0);
        close(source);
    }
    close(outputs[0]);
    close(outputs[1]);
    free(input);
}

static void a_reader_that_has_gone_is_an_error_and_no_signal(void)
{
    struct split_spec spec = spec_of(SPLIT_MD5, 1, FIRST, 1);
    struct split_report report;
    int source = file_of("a\n", 2), ends[2];

    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK(split_run(&spec, source, ends + 1, &report) == SPLIT_WRITE && report.error == EPIPE);
    close(ends[1]);
    close(source);
}

static void a_source_that_cannot_be_read_is_told_apart(void)
{
    struct split_spec spec = spec_of(SPLIT_MD5, 1, FIRST, 1);
    struct split_report report;
    int source = open("/tmp", O_RDONLY | O_DIRECTORY), out = file_of("", 0);

    CHECK(split_run(&spec, source, &out, &report) == SPLIT_READ && report.error == EISDIR);
    CHECK(strcmp(report.message, "cannot read the input: Is a directory") == 0);
    close(source);
    close(out);
}

static void a_specification_that_is_none_is_refused(void)
{
    static const uint32_t zero[] = {0};
    struct split_report report;
    struct split_spec good = spec_of(SPLIT_MD5, 2, FIRST, 1), bad;

    bad = good, bad.reducers = 0;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.reducers = SPLIT_REDUCERS + 1;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.nfields = 0;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.nfields = FIELDS_MAX + 1;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.fields = zero;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.delimiter_len = 0;
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC);
    bad = good, bad.delimiter = "\n";
    CHECK(split_run(&bad, 0, parts, &report) == SPLIT_SPEC && report.message[0]);
}

int main(void)
{
    lines_end_in_lf_however_they_ended();
    keys_leave_out_what_is_missing_or_empty();
    a_delimiter_may_be_long_and_is_found_without_overlap();
    a_line_longer_than_the_buffer_is_passed_on_when_its_key_is_known();
    a_key_longer_than_the_buffer_is_held_until_it_is_whole();
    an_index_that_is_none_stops_the_split_and_is_named();
    a_full_disk_is_named_with_the_reducer();
    a_reader_that_has_gone_is_an_error_and_no_signal();
    a_source_that_cannot_be_read_is_told_apart();
    a_specification_that_is_none_is_refused();
    return 0;
}
