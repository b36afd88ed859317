/* Sorting: what needs more lines, or longer ones, than a fuzz target has. */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oracle.h"
#include "sort/order.h"
#include "sort/radix.h"
#include "sort/sorter.h"

enum { MANY = 20000, CAP = 64 * 1024 * 1024 };

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void buckets_divide_entries_by_the_bits_that_differ(void)
{
    static struct entry entries[MANY];
    static size_t heads[RADIX_BUCKETS + 1];
    size_t buckets;

    for (uint32_t i = 0; i < MANY; i++)
        entries[i] = (struct entry){.prefix = (next() & UINT64_C(0x0f00030000070001)) | 0x30, .ref = i};
    buckets = radix_split(entries, MANY, heads);
    CHECK(buckets > 256 && heads[0] == 0 && heads[buckets] == MANY);
    for (size_t bucket = 1; bucket < buckets; bucket++)
        for (size_t i = heads[bucket]; i < heads[bucket + 1] && heads[bucket] > 0; i++)
            CHECK(entries[i].prefix > entries[heads[bucket] - 1].prefix);
    for (uint32_t i = 0; i < MANY; i++)
        entries[i].prefix = 7;
    CHECK(radix_split(entries, MANY, heads) == 1);
}

static void few_entries_are_sorted_whatever_their_order(void)
{
    struct entry entries[RADIX_MIN];

    for (int kind = 0; kind < 4; kind++) {
        for (uint32_t i = 0; i < RADIX_MIN; i++)
            entries[i].prefix = kind == 0 ? i : kind == 1 ? RADIX_MIN - i : kind == 2 ? 5 : next() % 9;
        radix_few(entries, RADIX_MIN);
        for (size_t i = 1; i < RADIX_MIN; i++)
            CHECK(entries[i - 1].prefix <= entries[i].prefix);
    }
}

/* A line of few letters, so that many lines begin alike, or are alike. */
static size_t random_line(char *line, size_t shared)
{
    size_t len = shared + next() % 12;

    memset(line, 'x', shared);
    for (size_t i = shared; i < len; i++)
        line[i] = "ab,1"[next() % 4];
    line[len] = '\n';
    return len + 1;
}

static void order_is(struct block *block)
{
    const struct ordering *ordering = block->ordering;
    uint32_t last = BLOCK_DROPPED;

    for (uint32_t i = 0; i < block->n; i++) {
        int order;

        if (block->entries[i].ref == BLOCK_DROPPED)
            continue;
        order = last == BLOCK_DROPPED ? -1
                                      : oracle_compare(ordering, block_line(block, &block->entries[last]),
                                                       block_line(block, &block->entries[i]));
        CHECK(order < 0 || (order == 0 && !ordering->is_unique));
        if (order == 0 && ordering->is_stable && ordering->n > 0)
            CHECK(block->entries[last].ref < block->entries[i].ref);
        last = i;
    }
}

static void many_lines_are_sorted_by_any_number_of_threads(void)
{
    static const char *const ORDERINGS[] = {"\n",       "r\n",       "u\n",      ":2,2\n",
                                            "t:2,2n\n", "st:2,2n\n", "ru:1.3\n", "r:1,1n\n"};
    static struct ordering ordering;
    static struct block block;

    for (size_t i = 0; i < sizeof ORDERINGS / sizeof *ORDERINGS; i++)
        for (int threads = 1; threads <= 4; threads += 3)
            for (size_t shared = 0; shared < 60; shared += 50) {
                CHECK(oracle_ordering((struct span){ORDERINGS[i], strlen(ORDERINGS[i])}, &ordering));
                CHECK(block_open(&block, &ordering, CAP) == 0);
                for (int line = 0; line < MANY; line++)
                    block.have += random_line(block.text + block.have, shared);
                CHECK(block_scan(&block) == 0 && block.n == MANY);
                CHECK(order_block(&block, threads) == 0);
                order_is(&block);
                block_close(&block);
            }
}

/* Each line is the beginning of the next one: every group sets one line apart. */
static void groups_within_groups_need_little_memory(void)
{
    static struct ordering ordering = {.separator = -1, .end = '\n'};
    static struct block block;
    enum { LINES = 3000 };

    CHECK(block_open(&block, &ordering, CAP) == 0);
    for (size_t len = LINES; len > 0; len--) {
        memset(block.text + block.have, 'a', len);
        block.text[block.have + len] = '\n';
        block.have += len + 1;
    }
    CHECK(block_scan(&block) == 0 && block.n == LINES && order_block(&block, 1) == 0);
    for (size_t i = 0; i < LINES; i++)
        CHECK(block_line(&block, &block.entries[i]).len == i + 1);
    block_close(&block);
}

static void a_full_block_takes_no_more_and_keeps_the_rest(void)
{
    static struct ordering ordering = {.separator = -1, .end = '\n'};
    static struct block block;

    CHECK(block_open(&block, &ordering, 40) == 0 && block_room(&block) > 10);
    memcpy(block.text, "first\nsecond\nthird\nfou", 22);
    block.have = 22;
    CHECK(block_scan(&block) == 0 && block.n == 2 && block_room(&block) == 0);
    block_clear(&block);
    CHECK(block.n == 0 && block.have == 9 && memcmp(block.text, "third\nfou", 9) == 0);
    CHECK(block_scan(&block) == 0 && block.n == 1);
    block_end_text(&block);
    CHECK(block_scan(&block) == 0 && block.n == 2);
    CHECK(block_line(&block, &block.entries[1]).len == 3);
    block_close(&block);
}

static void a_line_over_the_limit_is_told(void)
{
    static struct ordering ordering = {.separator = -1, .end = '\n'};
    static struct block block;

    CHECK(block_open(&block, &ordering, CAP) == 0);
    memcpy(block.text, "a\n", 2);
    memset(block.text + 2, 'x', LINE_MAX_BYTES);
    block.have = LINE_MAX_BYTES + 2;
    CHECK(block_scan(&block) == 0); /* it may end here */
    block.text[block.have++] = 'x';
    CHECK(block_scan(&block) < 0 && block.start == 2);
    block_close(&block);
}

/* A folder with files, where a sort runs as a program would. */
static char folder[] = "/tmp/test_sortXXXXXX";

static const char *file_with(const char *name, const char *text, size_t len)
{
    static char paths[8][64];
    static int used;
    char *path = paths[used++ % 8];
    FILE *file;

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    CHECK((file = fopen(path, "w")) && fwrite(text, 1, len, file) == len && fclose(file) == 0);
    return path;
}

static int holds(const char *path, const char *expected)
{
    static char found[4096];
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(found, 1, sizeof found, file) : 0;

    CHECK(file && fclose(file) == 0);
    return len == strlen(expected) && memcmp(found, expected, len) == 0;
}

static struct sorter sorter_of(const char *const *files, size_t n, const char *output)
{
    return (struct sorter){.ordering = {.separator = -1, .end = '\n'},
                           .files = files,
                           .n = n,
                           .output = output,
                           .directory = folder,
                           .memory = 1,
                           .threads = 1};
}

static void many_runs_are_merged_in_turns(void)
{
    enum { LINES = 1000 };
    static char text[8 * LINES];
    size_t len = 0;

    for (int i = 0; i < LINES; i++)
        len += (size_t)sprintf(text + len, "%d\n", (i * 617) % LINES);
    const char *files[] = {file_with("a", text, len)};
    struct sorter sorter = sorter_of(files, 1, file_with("b", "", 0));
    FILE *file;

    sorter.ordering.flags = KEY_N;
    CHECK(keydef_finish(&sorter.ordering, sorter.why) == 0);
    CHECK(sorter_sort(&sorter) == 0);
    CHECK((file = fopen(sorter.output, "r")));
    for (int i = 0, found; i < LINES; i++)
        CHECK(fscanf(file, "%d", &found) == 1 && found == i);
    fclose(file);
}

static void an_output_may_be_an_input(void)
{
    const char *files[] = {file_with("a", "a\nc\n", 4), file_with("b", "b\nd", 3)};
    struct sorter sorter = sorter_of(files, 2, files[1]);

    CHECK(sorter_merge(&sorter) == 0 && holds(files[1], "a\nb\nc\nd\n"));
    CHECK(sorter_sort(&sorter) == 0 && holds(files[1], "a\na\nb\nc\nc\nd\n"));
}

static void headers_stay_on_top(void)
{
    const char *files[] = {file_with("e", "", 0), file_with("a", "name\nd\n", 7), file_with("b", "title\na", 7)};
    struct sorter sorter = sorter_of(files, 3, file_with("o", "", 0));

    sorter.has_header = 1;
    CHECK(sorter_sort(&sorter) == 0 && holds(sorter.output, "name\na\nd\n"));
    CHECK(sorter_merge(&sorter) == 0 && holds(sorter.output, "name\na\nd\n"));
    sorter.memory = CAP;
    CHECK(sorter_sort(&sorter) == 0 && holds(sorter.output, "name\na\nd\n"));
}

static void what_fails_is_named(void)
{
    static char text[LINE_MAX_BYTES + 8];
    const char *files[] = {"/nowhere/a"};
    struct sorter sorter = sorter_of(files, 1, NULL);
    char expected[256];

    CHECK(sorter_sort(&sorter) < 0);
    CHECK(strcmp(sorter.why, "cannot read /nowhere/a: No such file or directory") == 0);
    CHECK(sorter_merge(&sorter) < 0 && strstr(sorter.why, "cannot read /nowhere/a"));
    memset(text, 'x', sizeof text);
    memcpy(text, "a\nb\n", 4);
    files[0] = file_with("a", text, sizeof text);
    snprintf(expected, sizeof expected, "%s: the line at byte 4 is longer than 16 MiB", files[0]);
    CHECK(sorter_sort(&sorter) < 0 && strcmp(sorter.why, expected) == 0);
    sorter.output = "/dev/null";
    CHECK(sorter_merge(&sorter) < 0 && strcmp(sorter.why, expected) == 0);
    files[0] = file_with("a", "b\na\n", 4);
    sorter.directory = "/nowhere";
    CHECK(sorter_sort(&sorter) < 0 && strstr(sorter.why, "temporary file in /nowhere: No such file"));
    sorter.memory = CAP;
    sorter.output = "/dev/full";
    CHECK(sorter_sort(&sorter) < 0 && strcmp(sorter.why, "cannot write /dev/full: No space left on device") == 0);
}

static void remove_folder(void)
{
    for (const char *name = "abeo"; *name; name++) {
        char path[64];

        snprintf(path, sizeof path, "%s/%c", folder, *name);
        unlink(path);
    }
    CHECK(rmdir(folder) == 0); /* nothing else was left in it */
}

int main(void)
{
    CHECK(mkdtemp(folder));
    buckets_divide_entries_by_the_bits_that_differ();
    few_entries_are_sorted_whatever_their_order();
    many_lines_are_sorted_by_any_number_of_threads();
    groups_within_groups_need_little_memory();
    a_full_block_takes_no_more_and_keeps_the_rest();
    a_line_over_the_limit_is_told();
    many_runs_are_merged_in_turns();
    an_output_may_be_an_input();
    headers_stay_on_top();
    what_fails_is_named();
    remove_folder();
    return 0;
}
