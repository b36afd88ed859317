/*
 * msplit - split standard input into one output for each reducer, by the keys of lines.
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/tool.h"
#include "split/filters.h"
#include "split/jsonkeys.h"
#include "split/script.h"
#include "split/split.h"
#include "text/fields.h"

static struct tool tool = {
    .name = "msplit",
    .usage = "usage: msplit -n REDUCERS [-d DELIMITER] [-f LIST]... [-j] [-e SCRIPT] [-i] [-z]\n"
             "              [--hash md5|xxh3]\n"
             "\n"
             "Sends each line of standard input to one of the next phase's reducers, chosen by\n"
             "the line's key: lines with the same key go to the same reducer, in order. Every\n"
             "reducer gets an output, also an empty one. A task that uses msplit does not have\n"
             "its stdout saved as well. A line ends with LF, CR LF or CR, and is sent with LF.\n"
             "\n"
             "  -n REDUCERS      how many reducers there are: the `count` of the next phase\n"
             "  -d DELIMITER     what separates fields: any text but a newline (default: a tab)\n"
             "  -f LIST          the fields that make the key, from 1, such as `1` (the default)\n"
             "                   or `5,3`; may be repeated. Missing and empty fields are left out\n"
             "  -j               lines are JSON, and -f lists paths, such as `id,name.first`.\n"
             "                   What a line does not have is left out\n"
             "  -e SCRIPT        the key is what this JavaScript gives: an expression, or with a\n"
             "                   `return` the body of function (line). `this` is the line's JSON\n"
             "                   with -j, else {line: line}. It must give a string\n"
             "  -i               the key is the reducer's number itself, from 0\n"
             "  -z               compress each part with gzip\n"
             "  --hash HASH      md5 (default): the first 32 bits of the key's MD5, modulo\n"
             "                   REDUCERS, as on Manta; xxh3: 64-bit XXH3, which is faster.\n"
             "                   Use the same one wherever lines must meet\n"
             "  --help           this text\n"
             "\n"
             "Example: awk '{print $2 \"\\t\" $1}' | msplit -n 4\n"
             "         msplit -n 4 -j -e 'this.id.substring(0, 9)'\n",
};

enum { OPTION_HASH = 256 };

static const struct option LONG[] = {
    {"help", no_argument, NULL, 'h'}, {"hash", required_argument, NULL, OPTION_HASH}, {NULL, 0, NULL, 0}};

struct plan {
    struct split_spec spec;
    struct span listed[FIELDS_MAX]; /* of -f, whether -j makes them paths or not */
    size_t nlisted;
    uint32_t fields[FIELDS_MAX];
    char *script;
    int is_json;
    int is_index;
    int is_compressed;
};

static void add_listed(struct plan *plan, const char *list)
{
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");

        if (plan->nlisted == FIELDS_MAX)
            tool_misused(&tool, "more than %d fields", FIELDS_MAX);
        plan->listed[plan->nlisted++] = (struct span){at, len};
        at += len;
        if (*at == '\0')
            return;
    }
}

/* Parse the list as numbers of fields; without a list, the first field. */
static void set_fields(struct plan *plan)
{
    plan->spec.fields = plan->fields;
    plan->spec.nfields = plan->nlisted;
    for (size_t i = 0; i < plan->nlisted; i++) {
        struct span item = plan->listed[i];
        char *end;
        unsigned long number = strtoul(item.at, &end, 10);

        if (item.at[0] < '0' || item.at[0] > '9' || end != item.at + item.len || number == 0 || number > UINT32_MAX)
            tool_misused(&tool, "invalid field: %.*s", (int)item.len, item.at);
        plan->fields[i] = (uint32_t)number;
    }
    if (plan->nlisted == 0)
        plan->fields[plan->spec.nfields++] = 1;
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

static void take_option(struct plan *plan, int found)
{
    switch (found) {
    case 'n':
        set_reducers(plan, optarg);
        break;
    case 'd':
        set_delimiter(plan, optarg);
        break;
    case 'f':
        add_listed(plan, optarg);
        break;
    case 'e':
        plan->script = optarg;
        break;
    case 'i':
        plan->is_index = 1;
        break;
    case 'j':
        plan->is_json = 1;
        break;
    case 'z':
        plan->is_compressed = 1;
        break;
    case OPTION_HASH:
        plan->spec.by = hash_named(optarg);
        break;
    }
}

static void parse(int argc, char **argv, struct plan *plan)
{
    int found;

    while ((found = tool_option(&tool, argc, argv, "n:d:f:e:ijz", LONG)) != -1)
        take_option(plan, found);
    if (optind < argc)
        tool_misused(&tool, "unexpected argument: %s", argv[optind]);
    if (plan->spec.reducers == 0)
        tool_misused(&tool, "number of reducers must be specified.");
    if (!getenv("MANTA_OUTPUT_BASE"))
        tool_misused(&tool, "MANTA_OUTPUT_BASE not set");
    if (plan->is_index)
        plan->spec.by = SPLIT_INDEX;
    if (!plan->script && !plan->is_json)
        set_fields(plan);
    if (!plan->script && plan->is_json && plan->nlisted == 0)
        tool_misused(&tool, "no fields specified");
}

/* The helper is beside this program, as in a task, or else found by PATH. */
static void start_script(const struct plan *plan, struct script *script)
{
    static char beside[4096 + sizeof "/mkey"];
    char *argv[6] = {"mkey"};
    int n = 1;

    if (readlink("/proc/self/exe", beside, 4096) > 0) {
        strcat(dirname(beside), "/mkey");
        if (access(beside, X_OK) == 0)
            argv[0] = beside;
    }
    if (plan->is_json)
        argv[n++] = "--json";
    if (plan->is_index)
        argv[n++] = "--index";
    argv[n++] = "--";
    argv[n] = plan->script;
    if (script_start(script, argv) < 0)
        tool_fail(&tool, "%s", script->keyer.why);
}

/* Split standard input into descriptors, which are closed afterwards if filters are between. */
static void split_into(const struct plan *plan, int *parts)
{
    static struct split_report report;
    static struct filters filters;
    enum split_result result;

    if (plan->is_compressed && filters_start(&filters, "gzip", parts, plan->spec.reducers) < 0)
        tool_fail(&tool, "%s", filters.why);
    result = split_run(&plan->spec, STDIN_FILENO, plan->is_compressed ? filters.pipes : parts, &report);
    /* A failed filter is the cause of any other error. */
    if (plan->is_compressed && filters_end(&filters) < 0)
        tool_fail(&tool, "%s", filters.why);
    if (result != SPLIT_DONE)
        tool_fail(&tool, "%s", report.message);
}

int main(int argc, char **argv)
{
    static struct plan plan = {.spec = {.by = SPLIT_MD5, .delimiter = "\t", .delimiter_len = 1}};
    static struct tool_request request = {.open = {.kind = PASS_SPLIT, .reducer = -1}};
    static struct jsonkeys json;
    static struct script script;
    int parts[SPLIT_REDUCERS];

    parse(argc, argv, &plan);
    if (plan.script) {
        start_script(&plan, &script);
        plan.spec.keyer = &script.keyer;
    } else if (plan.is_json) {
        jsonkeys_init(&json, plan.listed, plan.nlisted, (struct span){plan.spec.delimiter, plan.spec.delimiter_len});
        plan.spec.keyer = &json.keyer;
    }
    request.open.count = plan.spec.reducers;
    tool_open(&tool, &request, parts, plan.spec.reducers);
    split_into(&plan, parts);
    if (plan.script)
        script_end(&script);
    tool_commit(&tool, parts, plan.is_compressed ? 0 : plan.spec.reducers); /* those of filters are closed already */
    return 0;
}
