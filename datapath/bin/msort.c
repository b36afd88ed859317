/*
 * msort - sort lines, with the options and the bytes of `LC_ALL=C sort`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/tool.h"
#include "sort/input.h"
#include "sort/options.h"
#include "sort/sorter.h"
#include "split/child.h"

static struct tool tool = {
    .name = "msort",
    .failure = 2,
    .usage = "usage: msort [-t SEPARATOR] [-k KEYDEF]... [-bdfghiMnrVsuz] [-m] [-o FILE] [-S SIZE]\n"
             "             [-T DIRECTORY] [--header] [--parallel N] [--run COMMAND] [FILE]...\n"
             "       msort -c|-C [-t SEPARATOR] [-k KEYDEF]... [-bdfghiMnrVsuz] [FILE]\n"
             "\n"
             "Sorts the lines of all files, or of standard input, by their bytes or by keys: what\n"
             "`LC_ALL=C sort` prints for the same options, several times faster. A last line\n"
             "without an end gets one. A line has at most 16 MiB.\n"
             "\n" OPTIONS_HELP "  -s               lines with equal keys stay in their order\n"
             "  -u               of lines with equal keys only the first\n"
             "  -z               lines end in NUL\n"
             "  -m               the files are sorted already: only merge them\n"
             "  -c               say which line is the first out of order, and print nothing else\n"
             "  -C               the same without saying\n"
             "  -o FILE          write there, which may be one of the files\n"
             "  -S SIZE          memory, such as 500M or 25%; more input is sorted in pieces that\n"
             "                   are merged (default: a quarter of the machine's, or less where\n"
             "                   less is allowed)\n"
             "  -T DIRECTORY     where such pieces lie meanwhile (default: TMPDIR, or /tmp)\n"
             "  --header         each file begins with a line that is not sorted: the first\n"
             "                   file's comes first, the others are left out\n"
             "  --run COMMAND    let this command read the sorted lines, and not standard output; it\n"
             "                   need not read all of them. If it fails, its exit status is that of\n"
             "                   msort, too\n"
             "  --parallel N     sort with so many threads (default: 1)\n"
             "  --sample N       print N lines of each 16 KiB of the only file, unsorted\n"
             "  --borders N      print only the N - 1 lines that divide the sorted ones into N parts\n"
             "                   of equal size\n"
             "  --files0-from F  read the names of the files from F, each ended by NUL\n"
             "  --sort WORD      numeric, general-numeric, human-numeric, month or version\n"
             "  --check[=WORD]   diagnose-first: as -c; quiet or silent: as -C\n"
             "  --help           this text\n"
             "\n"
             "The other long options of `sort` are known too. --batch-size and --compress-program\n"
             "change nothing. -R is refused.\n"
             "\n"
             "Examples:\n"
             "  msort -t/ -k4,4 -k2,2r names\n"
             "  msort -u names -o names\n"
             "  msort -s -t/ -k4,4 names --run 'uniq -c'\n"
             "  msort -c first.log && msort -m first.log texts/lear.txt\n"
             "\n"
             "Exit status: 0; that of the command; 1 if -c or -C found a line out of order; 2 if\n"
             "something else failed.\n",
};

enum {
    BLOCK_KIB = 16, /* of which --sample prints a number of lines */
    PARTS_MAX = 100000,
    OPTION_HEADER = OPTION_OWN,
    OPTION_PARALLEL,
    OPTION_SAMPLE,
    OPTION_FILES0,
    OPTION_SORT,
    OPTION_CHECK,
    OPTION_IGNORED
};

static const char LETTERS[] = ":" OPTIONS_LETTERS "cCmo:T:";
static const struct option WORDS[] = {
    OPTIONS_WORDS,
    {"random-source", required_argument, NULL, OPTION_IGNORED},
    {"sort", required_argument, NULL, OPTION_SORT},
    {"batch-size", required_argument, NULL, OPTION_IGNORED},
    {"check", optional_argument, NULL, OPTION_CHECK},
    {"compress-program", required_argument, NULL, OPTION_IGNORED},
    {"files0-from", required_argument, NULL, OPTION_FILES0},
    {"merge", no_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"temporary-directory", required_argument, NULL, 'T'},
    {"parallel", required_argument, NULL, OPTION_PARALLEL},
    {"header", no_argument, NULL, OPTION_HEADER},
    {"sample", required_argument, NULL, OPTION_SAMPLE},
    {NULL, 0, NULL, 0},
};

struct plan {
    struct sorter sorter;
    int is_merge;
    char check; /* 'c', 'C' or 0 */
    uint32_t stride;
    const char *names; /* the file of --files0-from */
    const char *command;
};

static void *need(void *memory)
{
    if (!memory)
        tool_fail(&tool, "no memory");
    return memory;
}

/* What a control group allows, of either version, as instances see it; SIZE_MAX if nothing says. */
static size_t group_memory(void)
{
    static const char *const FILES[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    uint64_t least = SIZE_MAX;

    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        FILE *file = fopen(FILES[i], "re");
        uint64_t limit;

        if (!file)
            continue;
        if (fscanf(file, "%" SCNu64, &limit) == 1 && limit < least)
            least = limit;
        fclose(file);
    }
    return least;
}

/* A quarter of the machine's memory, and at most half of what the control group allows. */
static size_t default_memory(void)
{
    size_t most = group_memory() / 2, quarter = options_memory() / 4;

    return most < quarter ? most : quarter;
}

static uint32_t flag_of_word(const char *word)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } SORTS[] = {
        {"general-numeric", KEY_G}, {"human-numeric", KEY_H}, {"month", KEY_M}, {"numeric", KEY_N}, {"version", KEY_V}};

    for (size_t i = 0; i < sizeof SORTS / sizeof *SORTS; i++)
        if (strcmp(word, SORTS[i].word) == 0)
            return SORTS[i].flag;
    tool_misused(&tool, "--sort=%s is not known", word);
}

static void set_check(struct plan *plan, char check)
{
    if (plan->check && plan->check != check)
        tool_misused(&tool, "-c and -C exclude each other");
    plan->check = check;
}

static char check_of_word(const char *word)
{
    if (!word || strcmp(word, "diagnose-first") == 0)
        return 'c';
    if (strcmp(word, "quiet") == 0 || strcmp(word, "silent") == 0)
        return 'C';
    tool_misused(&tool, "--check=%s is not known", word);
}

static void take_option(struct plan *plan, int found)
{
    switch (found) {
    case 'c':
    case 'C':
        set_check(plan, (char)found);
        break;
    case OPTION_CHECK:
        set_check(plan, check_of_word(optarg));
        break;
    case 'm':
        plan->is_merge = 1;
        break;
    case 'o':
        plan->sorter.output = optarg;
        break;
    case 'S':
        plan->sorter.memory = options_size(&tool, optarg);
        break;
    case 'T':
        plan->sorter.directory = optarg;
        break;
    case OPTION_SORT:
        plan->sorter.ordering.flags |= flag_of_word(optarg);
        break;
    case OPTION_HEADER:
        plan->sorter.has_header = 1;
        break;
    case OPTION_PARALLEL:
        plan->sorter.threads = (int)options_count(&tool, optarg, "invalid number of threads", INT32_MAX);
        break;
    case OPTION_SAMPLE:
        plan->stride = BLOCK_KIB * 1024 / options_count(&tool, optarg, "invalid number of lines", BLOCK_KIB * 1024);
        break;
    case OPTION_BORDERS:
        plan->sorter.parts = options_count(&tool, optarg, "invalid number of parts", PARTS_MAX);
        break;
    case OPTION_FILES0:
        plan->names = optarg;
        break;
    case OPTION_RUN:
        plan->command = optarg;
        break;
    }
}

/* The names in a file, each ended by NUL. They stay in memory. */
static void read_names(struct plan *plan)
{
    FILE *file = strcmp(plan->names, "-") == 0 ? stdin : fopen(plan->names, "re");
    const char **names = NULL;
    char *name = NULL;
    size_t room = 0;

    if (!file)
        tool_fail(&tool, "cannot read %s: %s", plan->names, strerror(errno));
    plan->sorter.n = 0;
    while (getdelim(&name, &room, '\0', file) > 0) {
        if (!*name)
            tool_fail(&tool, "%s has an empty name", plan->names);
        names = need(realloc(names, (plan->sorter.n + 1) * sizeof *names));
        names[plan->sorter.n++] = name;
        name = NULL;
        room = 0;
    }
    if (ferror(file))
        tool_fail(&tool, "cannot read %s: %s", plan->names, strerror(errno));
    if (plan->sorter.n == 0)
        tool_fail(&tool, "%s has no names", plan->names);
    plan->sorter.files = names;
}

static void check_plan(const struct plan *plan)
{
    const struct sorter *sorter = &plan->sorter;
    int is_only = plan->check || plan->stride;

    if (is_only && sorter->n > 1)
        tool_misused(&tool, "only one file can be checked or sampled, not %s too", sorter->files[1]);
    if (plan->check && sorter->output)
        tool_misused(&tool, "-%c and -o exclude each other", plan->check);
    if (plan->command && (sorter->output || is_only || sorter->parts))
        tool_misused(&tool, "--run is for sorted lines, and excludes -o, -c, -C, --sample and --borders");
    /* What cannot be read should be said before, not after an hour. */
    for (size_t i = 0; i < sorter->n; i++)
        if (strcmp(sorter->files[i], "-") != 0 && access(sorter->files[i], R_OK) < 0)
            tool_fail(&tool, "cannot read %s: %s", sorter->files[i], strerror(errno));
}

static void parse(int argc, char **argv, struct plan *plan)
{
    static const char *const STANDARD_INPUT[] = {"-"};
    int found;

    while ((found = options_next(&tool, argc, argv, LETTERS, WORDS)) != -1)
        if (!options_take(&tool, &plan->sorter.ordering, found))
            take_option(plan, found);
    plan->sorter.files = optind < argc ? (const char *const *)argv + optind : STANDARD_INPUT;
    plan->sorter.n = optind < argc ? (size_t)(argc - optind) : 1;
    if (plan->names && optind < argc)
        tool_misused(&tool, "--files0-from and %s exclude each other", argv[optind]);
    if (plan->names)
        read_names(plan);
    options_finish(&tool, &plan->sorter.ordering);
    check_plan(plan);
}

/* GNU's words for a line that is out of order, which scripts know. */
static int check(struct plan *plan)
{
    uint64_t number;
    size_t len = 0;
    char *line = NULL;
    int result = sorter_check(&plan->sorter, &number, &line, &len);

    if (result < 0)
        tool_fail(&tool, "%s", plan->sorter.why);
    if (result == 0 && plan->check == 'c') {
        fprintf(stderr, "%s: %s:%" PRIu64 ": disorder: ", tool.name, plan->sorter.files[0], number);
        fwrite(line, 1, len, stderr);
        fputc('\n', stderr);
    }
    free(line);
    return !result;
}

int main(int argc, char **argv)
{
    static struct plan plan = {.sorter = {.ordering = {.separator = -1, .end = '\n'}, .threads = 1}};
    struct sorter *sorter = &plan.sorter;
    int result, error, status = 0;
    pid_t pid = 0;

    parse(argc, argv, &plan);
    if (plan.check)
        return check(&plan);
    if (!sorter->memory)
        sorter->memory = default_memory();
    if (!sorter->directory)
        sorter->directory = getenv("TMPDIR");
    if (!sorter->directory || !*sorter->directory)
        sorter->directory = "/tmp";
    input_allow_many();
    if (plan.command && (error = child_read_output(plan.command, &pid)))
        tool_fail(&tool, "cannot start the command: %s", strerror(error));
    result = plan.stride     ? sorter_sample(sorter, plan.stride)
             : plan.is_merge ? sorter_merge(sorter)
                             : sorter_sort(sorter);
    if (plan.command) {
        close(STDOUT_FILENO);
        status = child_wait(pid);
    }
    if (result < 0 && !(plan.command && sorter->is_unread))
        tool_fail(&tool, "%s", sorter->why);
    return status;
}
