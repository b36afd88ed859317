/*
 * Any lines, aggregated with any operations, compared with the plainest way to do it.
 *
 * The first line is operations, each for one column and the last one for all others, with
 * blanks between them; the rest is text in columns.
 */
#include <math.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aggregate/aggregate.h"
#include "check.h"
#include "streams/reader.h"
#include "text/number.h"

enum { TEXT = 4096, LISTS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct expected {
    char key[TEXT];
    size_t key_len;
    double count, sum, min, max; /* of the first column that is neither key nor ignored */
};

static struct expected expected[TEXT];
static size_t expected_n;

/* The operations, as many as are right; there is always one list. */
static size_t read_lists(char *text, struct tally *tallies)
{
    const char *op;
    size_t n = 0;

    for (char *list; n < LISTS && (list = strsep(&text, " "));)
        n += tally_read(&tallies[n], list, &op) == NULL;
    if (n == 0)
        CHECK(tally_read(&tallies[n++], "sum", &op) == NULL);
    return n;
}

/* Take the line in the plainest way. Returns whether all its numbers are some. */
static int expect(const struct aggregate_spec *spec, struct span line)
{
    static struct expected one;
    size_t column = 0;
    double value, first = 0;
    int any = 0;

    one.key_len = 0;
    for (const char *at = line.at, *end = line.at + line.len;; column++) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        const struct tally *tally = aggregate_tally(spec, column);

        if (tally_is(tally, TALLY_KEY)) {
            memcpy(one.key + one.key_len, at, len);
            one.key_len += len;
        } else if (!tally_is(tally, TALLY_NOP)) {
            if (!number_parse(at, len, &value))
                return 0;
            if (!any++)
                first = value;
        }
        if (!stop)
            break;
        at = stop + 1;
    }
    size_t i = 0;
    while (i < expected_n && (expected[i].key_len != one.key_len || memcmp(expected[i].key, one.key, one.key_len)))
        i++;
    if (i == expected_n) {
        memcpy(expected[i].key, one.key, one.key_len);
        expected[i].key_len = one.key_len;
        expected[i].count = expected[i].sum = 0;
        expected[i].min = HUGE_VAL;
        expected[i].max = -HUGE_VAL;
        expected_n++;
    }
    if (any) {
        expected[i].count++;
        expected[i].sum += first;
        expected[i].min = fmin(expected[i].min, first);
        expected[i].max = fmax(expected[i].max, first);
    }
    return 1;
}

static int same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void compare_first(const struct aggregate *aggregate, const struct group *group, const struct expected *want)
{
    for (size_t i = 0; i < group->columns; i++) {
        const struct tally *tally = aggregate_tally(aggregate->spec, i);

        if (tally_is(tally, TALLY_KEY)) {
            struct span text = aggregate_text(aggregate, group, i);

            CHECK(text.at >= group->key.at && text.at + text.len <= group->key.at + group->key.len);
            continue;
        }
        if (tally_is(tally, TALLY_NOP))
            continue;
        const double *numbers = aggregate_numbers(aggregate, group, i);
        for (size_t k = 0; k < tally->n; k++) {
            double result = tally_result(tally, numbers, tally->ops[k]);

            CHECK(tally->ops[k] != TALLY_COUNT || result == want->count);
            CHECK(tally->ops[k] != TALLY_SUM || same(result, want->sum));
            CHECK(tally->ops[k] != TALLY_MIN || result == want->min);
            CHECK(tally->ops[k] != TALLY_MAX || result == want->max);
            CHECK(tally->ops[k] != TALLY_STDDEV || isnan(result) || result >= 0);
        }
        return;
    }
}

static void take_lines(struct aggregate *aggregate, const char *text, size_t len)
{
    int fd = memfd_create("fuzz", 0);
    struct reader reader;
    struct span line;
    size_t column;
    int got;

    CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(reader_open(&reader, fd) == 0);
    while ((got = reader_next(&reader, &line)) > 0) {
        int right = expect(aggregate->spec, line);

        CHECK(aggregate_add(aggregate, line, &column) == (right ? AGGREGATE_DONE : AGGREGATE_NUMBER));
    }
    CHECK(got == 0);
    reader_close(&reader);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char lists[TEXT];
    const char *text = (const char *)data;
    const char *line = size ? memchr(text, '\n', size) : NULL;
    struct tally tallies[LISTS];
    struct aggregate aggregate;

    if (!line || size >= TEXT)
        return 0;
    memcpy(lists, text, (size_t)(line - text));
    lists[line - text] = '\0';
    size_t n = read_lists(lists, tallies);
    const struct aggregate_spec spec = {tallies, n - 1, &tallies[n - 1], {",", 1}};
    expected_n = 0;
    CHECK(aggregate_begin(&aggregate, &spec) == 0);
    take_lines(&aggregate, line + 1, size - (size_t)(line + 1 - text));
    CHECK(aggregate.n == expected_n);
    for (size_t i = 0; i < expected_n; i++)
        compare_first(&aggregate, &aggregate.groups[i], &expected[i]);
    aggregate_sort(&aggregate);
    aggregate_end(&aggregate);
    return 0;
}
