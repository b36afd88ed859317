/*
 * msplit - lines of standard input become one output for each reducer, by key.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "split.h"
#include "tool.h"

static struct tool tool = {
    .name = "msplit",
    .usage = "usage: msplit -n REDUCERS [-d DELIMITER] [-f LIST]... [-i] [--hash md5|xxh3]\n"
             "\n"
             "Sends each line of standard input to one of the next phase's reducers, chosen by\n"
             "the line's key: lines with the same key go to the same reducer, in order. Every\n"
             "reducer gets an output, also an empty one. A task that uses msplit does not have\n"
             "its stdout saved as well.\n"
             "\n"
             "  -n REDUCERS      how many reducers there are: the `count` of the next phase\n"
             "  -d DELIMITER     what separates fields: any text but a newline (default: a tab)\n"
             "  -f LIST          the fields that make the key, from 1, such as `1` (the default)\n"
             "                   or `5,3`; may be repeated. Missing and empty fields are left out\n"
             "  -i               the key is the reducer's number itself, from 0\n"
             "  --hash HASH      md5 (default): the first 32 bits of the key's MD5, modulo\n"
             "                   REDUCERS, as on Manta; xxh3: 64-bit XXH3, which is faster.\n"
             "                   Use the same one wherever lines must meet\n"
             "  --help           this text\n"
             "\n"
             "Example: awk '{print $2 \"\\t\" $1}' | msplit -n 4\n"
             "\n"
             "Exit status: 0; 1 if a line has no key that will do, or an output was not saved;\n"
             "2 for wrong usage.\n",
};

enum { OPTION_HASH = 256 };

static const struct option LONG[] = {
    {"help", no_argument, NULL, 'h'}, {"hash", required_argument, NULL, OPTION_HASH}, {NULL, 0, NULL, 0}};

struct plan {
    struct split_spec spec;
    uint32_t fields[FIELDS_MAX];
};

static void add_fields(struct plan *plan, char *list)
{
    char *rest = list;
    char *item;

    while ((item = strsep(&rest, ","))) {
        char *end;
        unsigned long number = strtoul(item, &end, 10);

        if (item[0] < '0' || item[0] > '9' || *end != '\0' || number == 0 || number > UINT32_MAX)
            tool_misused(&tool, "invalid field: %s", item);
        if (plan->spec.nfields == FIELDS_MAX)
            tool_misused(&tool, "more than %d fields", FIELDS_MAX);
        plan->fields[plan->spec.nfields++] = (uint32_t)number;
    }
}

static void set_delimiter(struct plan *plan, const char *delimiter)
{
    if (strpbrk(delimiter, "\r\n"))
        tool_misused(&tool, "cannot use newline as a delimiter.");
    if (!*delimiter)
        tool_misused(&tool, "the delimiter is empty");
    plan->spec.delimiter = delimiter;
    plan->spec.delimiter_len = strlen(delimiter);
}

static enum split_by hash_named(const char *name)
{
    if (strcmp(name, "md5") == 0)
        return SPLIT_MD5;
    if (strcmp(name, "xxh3") == 0)
        return SPLIT_XXH3;
    tool_misused(&tool, "unknown hash: \"%s\" (md5 or xxh3)", name);
}

static void set_reducers(struct plan *plan, const char *text)
{
    int32_t reducers = tool_whole(&tool, text, "invalid number of reducers");

    if (reducers < 1 || reducers > SPLIT_REDUCERS)
        tool_misused(&tool, "invalid number of reducers");
    plan->spec.reducers = (uint32_t)reducers;
}

static void parse(int argc, char **argv, struct plan *plan)
{
    int by_index = 0;
    int found;

    while ((found = getopt_long(argc, argv, ":n:d:f:ie:jzh", LONG, NULL)) != -1) {
        switch (found) {
        case 'n':
            set_reducers(plan, optarg);
            break;
        case 'd':
            set_delimiter(plan, optarg);
            break;
        case 'f':
            add_fields(plan, optarg);
            break;
        case 'i':
            by_index = 1;
            break;
        case OPTION_HASH:
            plan->spec.by = hash_named(optarg);
            break;
        case 'e':
        case 'j':
        case 'z':
            tool_misused(&tool, "-%c is not supported: keys are made of fields (-f), and parts are plain text", found);
        case 'h':
            tool_help(&tool);
        default:
            tool_bad_option(&tool, found, argv);
        }
    }
    if (optind < argc)
        tool_misused(&tool, "unexpected argument: %s", argv[optind]);
    if (plan->spec.reducers == 0)
        tool_misused(&tool, "number of reducers must be specified.");
    if (!getenv("MANTA_OUTPUT_BASE"))
        tool_misused(&tool, "MANTA_OUTPUT_BASE not set");
    if (by_index)
        plan->spec.by = SPLIT_INDEX;
}

int main(int argc, char **argv)
{
    static struct plan plan = {.spec = {.by = SPLIT_MD5, .delimiter = "\t", .delimiter_len = 1}};
    static struct tool_request request = {.open = {.kind = PASS_SPLIT, .reducer = -1}};
    static struct split_report report;
    int parts[SPLIT_REDUCERS];

    opterr = 0;
    parse(argc, argv, &plan);
    if (plan.spec.nfields == 0)
        plan.fields[plan.spec.nfields++] = 1;
    plan.spec.fields = plan.fields;
    request.open.count = plan.spec.reducers;
    tool_open(&tool, &request, parts, plan.spec.reducers);
    if (split_run(&plan.spec, STDIN_FILENO, parts, &report) != SPLIT_DONE)
        tool_fail(&tool, "%s", report.message);
    tool_commit(&tool);
    return 0;
}
