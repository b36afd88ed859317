/*
 * mpartition - divide lines among partitions, into one shuffle file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/tool.h"
#include "shuffle/partitioner.h"
#include "shuffle/shuffle.h"
#include "sort/input.h"
#include "sort/options.h"
#include "split/child.h"

static struct tool tool = {
    .name = "mpartition",
    .failure = 2,
    .usage = "usage: mpartition --partitions N [-t SEPARATOR] [-k KEYDEF]... [-bdfghiMnrVsuz]\n"
             "                  [--borders FILE] [--run COMMAND] [-S SIZE] [FILE]\n"
             "\n"
             "Divides the lines of a file, or of standard input, among partitions, and prints a\n"
             "shuffle file: all partitions in one, with an index at the end. Lines with equal keys\n"
             "go to the same partition, in order. Keys are those of msort; without any, the key\n"
             "is the whole line.\n"
             "\n"
             "  --partitions N   how many partitions there are, at most 5000\n"
             "  --borders FILE   sorted lines that divide the partitions, as `msort --borders`\n"
             "                   prints them: sorted partitions one after another are sorted then.\n"
             "                   Identical lines may be spread over partitions, but not with -s\n"
             "                   or -u. Without this a hash of the keys chooses the partition\n"
             "  --run COMMAND    divide what this command prints; its standard input is that of\n"
             "                   mpartition, and if it fails, its exit status is that of\n"
             "                   mpartition, too\n" OPTIONS_HELP
             "  -s               lines with equal keys stay together and in order\n"
             "  -u               the same\n"
             "  -z               lines end in NUL\n"
             "  -S SIZE          memory for buffers, such as 64M (the default)\n"
             "  --help           this text\n"
             "\n"
             "Examples:\n"
             "  mpartition --partitions 8 -t/ -k4,4 names > shuffled\n"
             "  msort --sample 8 names | msort --borders 8 > borders\n"
             "  mpartition --partitions 8 --borders borders names > shuffled\n"
             "\n"
             "Exit status: 0; that of the command; 2 if something else failed.\n",
};

enum { BUFFER = 1024 * 1024, MEMORY = 64 * 1024 * 1024, OPTION_PARTITIONS = OPTION_OWN };

static const char LETTERS[] = ":" OPTIONS_LETTERS;
static const struct option WORDS[] = {
    OPTIONS_WORDS,
    {"partitions", required_argument, NULL, OPTION_PARTITIONS},
    {NULL, 0, NULL, 0},
};

struct plan {
    struct ordering ordering;
    uint32_t partitions;
    const char *borders;
    const char *command;
    const char *file;
    size_t memory;
};

static void take_option(struct plan *plan, int found)
{
    switch (found) {
    case OPTION_PARTITIONS:
        plan->partitions = options_count(&tool, optarg, "invalid number of partitions", SHUFFLE_PARTITIONS);
        break;
    case OPTION_BORDERS:
        plan->borders = optarg;
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
    if (plan->partitions == 0)
        tool_misused(&tool, "--partitions is missing");
    if (optind + 1 < argc)
        tool_misused(&tool, "unexpected argument: %s", argv[optind + 1]);
    if (optind < argc && plan->command)
        tool_misused(&tool, "--run and %s exclude each other", argv[optind]);
    plan->file = optind < argc ? argv[optind] : "-";
    options_finish(&tool, &plan->ordering);
}

static void open_source(const struct plan *plan, struct source *source, int fd, const char *name)
{
    if (fd < 0)
        tool_fail(&tool, "cannot read %s: %s", name, strerror(errno));
    if (source_open(source, fd, plan->ordering.end, BUFFER) < 0)
        tool_fail(&tool, "no memory");
}

static void read_borders(const struct plan *plan, struct partitioner *partitioner)
{
    struct source source;

    open_source(plan, &source, input_file(plan->borders), plan->borders);
    if (partitioner_borders(partitioner, &source) < 0)
        tool_fail(&tool, "%s: %s", plan->borders, partitioner->why);
    source_close(&source);
    close(source.fd);
}

/* Start the command. Returns where its standard output can be read. */
static int start(const char *command, pid_t *pid)
{
    char *argv[] = {"bash", "-c", (char *)command, NULL};
    int ends[2], error;

    if (pipe2(ends, O_CLOEXEC) < 0)
        tool_fail(&tool, "cannot start the command: %s", strerror(errno));
    fcntl(ends[1], F_SETPIPE_SZ, BUFFER); /* fewer switches; a refusal changes nothing else */
    if ((error = child_start(argv, STDIN_FILENO, ends[1], pid)))
        tool_fail(&tool, "cannot start the command: %s", strerror(error));
    close(ends[1]);
    return ends[0];
}

static void fail_source(const struct source *source, enum source_result result, const char *name)
{
    if (result == SOURCE_READ)
        tool_fail(&tool, "cannot read %s: %s", name, strerror(errno));
    if (result == SOURCE_LONG)
        tool_fail(&tool, "%s: the line at byte %" PRIu64 " is longer than 16 MiB", name, source->next);
    if (result == SOURCE_MEMORY)
        tool_fail(&tool, "no memory");
}

static void divide(struct source *source, const char *name, struct partitioner *partitioner, struct shuffle *shuffle)
{
    enum source_result result;
    struct span line;
    int put = 0;

    while ((result = source_next(source, &line)) == SOURCE_LINE && put == 0)
        put = shuffle_put(shuffle, partitioner_choose(partitioner, line), line.at, line.len + 1);
    if (put == 0)
        fail_source(source, result, name);
    if (put == 0)
        put = shuffle_finish(shuffle);
    if (put < 0) {
        shuffle_end(shuffle);
        tool_fail(&tool, "cannot write the shuffle file: %s", strerror(shuffle->error));
    }
}

int main(int argc, char **argv)
{
    static struct plan plan = {.ordering = {.separator = -1, .end = '\n'}, .memory = MEMORY};
    static struct partitioner partitioner;
    struct shuffle shuffle;
    struct source source;
    int status = 0;
    pid_t pid;

    parse(argc, argv, &plan);
    if (partitioner_open(&partitioner, &plan.ordering, plan.partitions) < 0 ||
        shuffle_open(&shuffle, STDOUT_FILENO, plan.partitions, plan.ordering.end ? 0 : SHUFFLE_ZERO, plan.memory) < 0)
        tool_fail(&tool, "no memory");
    if (plan.borders)
        read_borders(&plan, &partitioner);
    if (lseek(STDOUT_FILENO, 0, SEEK_CUR) > 0)
        tool_fail(&tool, "a shuffle file must be at the beginning of its file");
    open_source(&plan, &source, plan.command ? start(plan.command, &pid) : input_file(plan.file), plan.file);
    divide(&source, plan.command ? "the command's output" : plan.file, &partitioner, &shuffle);
    source_close(&source);
    close(source.fd);
    if (plan.command)
        status = child_wait(pid);
    shuffle_end(&shuffle);
    partitioner_close(&partitioner);
    return status;
}
