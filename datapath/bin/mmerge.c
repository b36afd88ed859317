/*
 * mmerge - merge inputs that must be sorted, or the part of them that lies in a range of keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/handed.h"
#include "protocol/tool.h"
#include "sort/input.h"
#include "sort/merge.h"
#include "sort/options.h"
#include "sort/runs.h"
#include "split/child.h"
#include "streams/slice.h"

static struct tool tool = {
    .name = "mmerge",
    .failure = 2,
    .usage = "usage: mmerge [-t SEPARATOR] [-k KEYDEF]... [-bdfghiMnrVsuz] [--borders FILE --partition K]\n"
             "              [--keys N] [--join N] [--run COMMAND] [-S SIZE] [--handed] [FILE]...\n"
             "\n"
             "Merges files that are sorted, and checks that they are: what `LC_ALL=C sort -m` prints.\n"
             "A line that comes before the one before it ends the merge, and is said as `sort -c`\n"
             "says it. Of lines with equal keys that of the earlier file comes first. Without FILE\n"
             "it is standard input.\n"
             "\n"
             "  --borders FILE   sorted lines that divide all lines into ranges, as\n"
             "                   `msort --borders` prints them\n"
             "  --partition K    merge only the lines of range K, from 0: nothing else of the files\n"
             "                   is read. What cannot be sought in (a pipe) must lie in the range\n"
             "  --keys N         the first N keys alone divide: lines that are equal by them are\n"
             "                   never apart\n"
             "  --handed         the files are those that the agent hands over on standard input\n"
             "  --join N         some of these are dictionaries, sorted by the first N keys. Each\n"
             "                   line begins with the number of its dictionary, or 0, and a tab; a\n"
             "                   dictionary's line comes before the lines with its keys\n"
             "  --run COMMAND    let this command read the lines; it need not read all of them. If\n"
             "                   it fails, its exit status is that of mmerge, too\n"
             "  -S SIZE          memory for buffers, such as 64M (the default). More than 1024 files\n"
             "                   with lines in the range are merged in turns, by a temporary file\n" OPTIONS_HELP
             "  -s               lines with equal keys are not compared as a whole\n"
             "  -u               of lines with equal keys only the first\n"
             "  -z               lines end in NUL\n"
             "  --help           this text\n"
             "\n"
             "Examples:\n"
             "  mmerge names borders > both\n"
             "  mmerge -s -k1,1 --run 'uniq -c' names first.log\n"
             "  mmerge -s -t/ -k4,4 --borders borders --partition 1 names\n"
             "\n"
             "Exit status: 0; that of the command; 1 if a file is not sorted, or a line not in the\n"
             "range; 2 if something else failed.\n",
};

enum {
    BUFFER = 1024 * 1024, /* of each file at most, */
    BUFFER_MIN = 64 * 1024,
    MEMORY = 64 * 1024 * 1024,
    PARTITIONS_MAX = 100000,
    DISORDERED = 1, /* exit status */
    OPTION_PARTITION = OPTION_OWN,
    OPTION_KEYS,
    OPTION_JOIN,
    OPTION_HANDED
};

static const char LETTERS[] = ":" OPTIONS_LETTERS;
static const struct option WORDS[] = {
    OPTIONS_WORDS,
    {"partition", required_argument, NULL, OPTION_PARTITION},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"join", required_argument, NULL, OPTION_JOIN},
    {"handed", no_argument, NULL, OPTION_HANDED},
    {NULL, 0, NULL, 0},
};

struct plan {
    struct ordering ordering;
    const char *borders;
    uint32_t partition;
    uint32_t keys;
    uint32_t join;
    const char *command;
    size_t memory;
    int is_handed;
};

/* A file with lines in the range. */
struct file {
    int fd;
    const char *name;
    uint32_t dictionary;
    int is_sought; /* its lines from `start` to `end` are merged; else all that can be read */
    off_t start;
    off_t end;
};

/* Dictionaries come first: so their lines do, where they have all keys. */
static struct {
    struct file of[MERGE_MAX];
    size_t n;
    size_t dictionaries;
} files;
static struct source sources[MERGE_MAX];

static uint32_t number_of(const char *text)
{
    return strcmp(text, "0") == 0 ? 0 : options_count(&tool, text, "invalid number of a range", PARTITIONS_MAX);
}

static void take_option(struct plan *plan, int found)
{
    switch (found) {
    case OPTION_BORDERS:
        plan->borders = optarg;
        break;
    case OPTION_PARTITION:
        plan->partition = number_of(optarg);
        break;
    case OPTION_KEYS:
        plan->keys = options_count(&tool, optarg, "invalid number of keys", KEYS_MAX);
        break;
    case OPTION_JOIN:
        plan->join = options_count(&tool, optarg, "invalid number of keys", KEYS_MAX);
        break;
    case OPTION_HANDED:
        plan->is_handed = 1;
        break;
    case OPTION_RUN:
        plan->command = optarg;
        break;
    case 'S':
        plan->memory = options_size(&tool, optarg);
        break;
    }
}

static void parse(int argc, char **argv, struct plan *plan)
{
    int found;

    while ((found = options_next(&tool, argc, argv, LETTERS, WORDS)) != -1)
        if (!options_take(&tool, &plan->ordering, found))
            take_option(plan, found);
    options_finish(&tool, &plan->ordering);
    if (plan->is_handed && optind < argc)
        tool_misused(&tool, "--handed and %s exclude each other", argv[optind]);
    if (plan->keys > plan->ordering.n || plan->join > plan->ordering.n)
        tool_misused(&tool, "there are only %zu keys", plan->ordering.n);
    if (plan->join && !plan->is_handed)
        tool_misused(&tool, "--join is for files that are handed over");
    if (plan->join && !plan->ordering.is_stable)
        tool_misused(&tool, "--join needs -s");
}

/* Say what is wrong with a file, and exit. */
_Noreturn static void fail_file(const char *name, enum source_result why, uint64_t offset)
{
    if (why == SOURCE_LONG)
        tool_fail(&tool, "%s: the line at byte %" PRIu64 " is longer than 16 MiB", name, offset);
    if (why == SOURCE_MEMORY)
        tool_fail(&tool, "no memory (try a smaller -S)");
    tool_fail(&tool, "cannot read %s: %s", name, strerror(errno));
}

static void open_range(const struct plan *plan, struct range *range)
{
    enum source_result result;
    struct source source;
    int fd;

    if (range_open(range, &plan->ordering, plan->keys, plan->join) < 0)
        tool_fail(&tool, "no memory");
    if (!plan->borders)
        return;
    if ((fd = input_file(plan->borders)) < 0)
        tool_fail(&tool, "cannot read %s: %s", plan->borders, strerror(errno));
    if (source_open(&source, fd, plan->ordering.end, BUFFER_MIN) < 0)
        tool_fail(&tool, "no memory");
    if ((result = range_borders(range, &source, plan->partition)) == SOURCE_DISORDER)
        tool_fail(&tool, "%s: the borders are not sorted", plan->borders);
    if (result != SOURCE_END)
        fail_file(plan->borders, result, source.next);
    source_close(&source);
    close(fd);
}

/* Open the files as sources. Returns whether one of them may have lines outside of the range. */
static int open_sources(const struct plan *plan)
{
    size_t share = plan->memory / (files.n + 1);
    size_t room = share < BUFFER_MIN ? BUFFER_MIN : share > BUFFER ? BUFFER : share;
    int is_open = 0;

    for (size_t i = 0; i < files.n; i++) {
        const struct file *file = &files.of[i];

        if (source_open(&sources[i], file->fd, plan->ordering.end, room) < 0)
            tool_fail(&tool, "no memory (try a smaller -S)");
        sources[i].keeps = 1;
        sources[i].dictionary = file->dictionary;
        if (file->is_sought)
            source_range(&sources[i], (uint64_t)file->start, (uint64_t)file->end);
        is_open |= !file->is_sought;
    }
    return is_open;
}

/* Say, in the words of `sort -c`, which line is wrong, and exit. */
_Noreturn static void fail_line(const struct merge *merge)
{
    const struct file *file = &files.of[merge->culprit];
    const struct source *source = &sources[merge->culprit];
    const struct head *head = &merge->heads[merge->culprit];
    struct span line = head->code == MERGE_ENDED ? source_before(source) : head->line;
    int64_t before = file->is_sought ? slice_count(file->fd, 0, file->start, merge->ordering->end) : 0;

    if (before < 0)
        fail_file(file->name, SOURCE_READ, 0);
    fprintf(stderr, "%s: %s:%" PRIu64 ": %s: ", tool.name, file->name, (uint64_t)before + source->lines,
            merge->failed == SOURCE_DISORDER ? "disorder" : "not in the range of keys of its task");
    fwrite(line.at, 1, line.len, stderr);
    fputc('\n', stderr);
    exit(DISORDERED);
}

/*
 * Write the lines to `out`. `within`: the range that they must lie in, or NULL; `dictionary`: the keys of dictionaries, or
 * NULL. Returns 0, or -1 with errno if the output failed.
 */
static int merge_all(const struct plan *plan, struct range *within, const struct ordering *dictionary, int out)
{
    static struct merge merge;
    static struct outputs outputs;
    int result;

    memset(&merge, 0, sizeof merge);
    merge.is_strict = 1;
    merge.within = within;
    merge.dictionary = dictionary;
    if (outputs_init(&outputs, &out, 1) < 0)
        tool_fail(&tool, "no memory");
    result = merge_run(&merge, &plan->ordering, sources, files.n, &outputs);
    if (result < 0 && (merge.failed == SOURCE_DISORDER || merge.failed == SOURCE_OUTSIDE))
        fail_line(&merge);
    if (result < 0 && merge.failed != SOURCE_END)
        fail_file(files.of[merge.culprit].name, merge.failed, sources[merge.culprit].next);
    if (result == 0)
        result = outputs_flush(&outputs);
    if (outputs_end(&outputs) < 0) {
        errno = outputs.error;
        return -1;
    }
    return result;
}

static const char *temporary_directory(void)
{
    const char *directory = getenv("TMPDIR");

    return directory && *directory ? directory : "/tmp";
}

/* Merge the files that there are so far into one, which takes their place: of equal lines theirs come first. */
static void merge_early(const struct plan *plan, struct range *range)
{
    const char *directory = temporary_directory();
    struct stat status;
    int fd = runs_file(directory);

    if (fd < 0 || merge_all(plan, open_sources(plan) ? range : NULL, NULL, fd) < 0 || fstat(fd, &status) < 0 ||
        lseek(fd, 0, SEEK_SET) < 0)
        tool_fail(&tool, "cannot write a temporary file in %s: %s", directory, strerror(errno));
    for (size_t i = 0; i < files.n; i++) {
        source_close(&sources[i]);
        close(files.of[i].fd);
    }
    files.of[0] = (struct file){.fd = fd, .name = directory, .is_sought = 1, .end = status.st_size};
    files.n = 1;
}

/* Add a file, unless none of its lines is in the range. */
static void add(const struct plan *plan, struct range *range, struct file file)
{
    struct stat status;
    enum source_result result;
    size_t place;

    if (fstat(file.fd, &status) < 0)
        fail_file(file.name, SOURCE_READ, 0);
    file.is_sought = S_ISREG(status.st_mode);
    if (file.is_sought) {
        result = range_find(range, file.fd, status.st_size, file.dictionary > 0, &file.start, &file.end);
        if (result != SOURCE_LINE)
            fail_file(file.name, result, range->offset);
        if (file.start > file.end) { /* it is not sorted: reading it will tell where */
            file.start = 0;
            file.end = status.st_size;
        }
        if (file.start == file.end) {
            close(file.fd);
            return;
        }
        if (lseek(file.fd, file.start, SEEK_SET) < 0)
            fail_file(file.name, SOURCE_READ, 0);
    }
    if (files.n == MERGE_MAX && plan->join)
        tool_fail(&tool, "a join of more than %d files in one range of keys: merge some of them first", MERGE_MAX);
    if (files.n == MERGE_MAX)
        merge_early(plan, range);
    place = file.dictionary > 0 ? files.dictionaries++ : files.n;
    memmove(&files.of[place + 1], &files.of[place], (files.n++ - place) * sizeof file);
    files.of[place] = file;
}

static void add_handed(const struct plan *plan, struct range *range)
{
    struct handed handed;
    int got;

    while ((got = handed_next(STDIN_FILENO, &handed)) > 0)
        add(plan, range, (struct file){.fd = handed.fd, .name = handed.name, .dictionary = handed.dictionary});
    if (got < 0)
        tool_fail(&tool, "cannot take over the inputs: %s", strerror(errno));
}

static void add_named(const struct plan *plan, struct range *range, char **names, int n)
{
    for (int i = 0; i < n; i++) {
        int fd = input_file(names[i]);

        if (fd < 0)
            fail_file(names[i], SOURCE_READ, 0);
        add(plan, range, (struct file){.fd = fd, .name = names[i]});
    }
    if (n == 0)
        add(plan, range, (struct file){.fd = STDIN_FILENO, .name = "standard input"});
}

int main(int argc, char **argv)
{
    static struct plan plan = {.ordering = {.separator = -1, .end = '\n'}, .memory = MEMORY};
    static struct range range;
    int result, error, is_open, status = 0;
    pid_t pid;

    parse(argc, argv, &plan);
    input_allow_many();
    open_range(&plan, &range);
    if (plan.is_handed)
        add_handed(&plan, &range);
    else
        add_named(&plan, &range, argv + optind, argc - optind);
    is_open = open_sources(&plan);
    if (plan.command && (error = child_read_output(plan.command, &pid)))
        tool_fail(&tool, "cannot start the command: %s", strerror(error));
    result = merge_all(&plan, is_open ? &range : NULL, plan.join ? &range.dictionary.ordering : NULL, STDOUT_FILENO);
    error = errno;
    range_close(&range);
    if (plan.command) {
        close(STDOUT_FILENO);
        status = child_wait(pid);
    }
    if (result < 0 && !(plan.command && error == EPIPE))
        tool_fail(&tool, "cannot write standard output: %s", strerror(error));
    return status;
}
