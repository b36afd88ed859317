/*
 * maggr - sums, means and other numbers of columns of text, by key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregate/aggregate.h"
#include "protocol/tool.h"
#include "streams/reader.h"
#include "text/format.h"
#include "text/number.h"

/* The original's messages begin with "Error: ", which scripts search for. */
static struct tool tool = {
    .name = "Error",
    .usage = "usage: maggr [-c COLUMN=OPERATIONS]... [-t COLUMN=FORMATS]... [-T FORMATS] [-f FILE]\n"
             "             [-d DELIMITER] [-o DELIMITER] [-i DELIMITER] [OPERATIONS]\n"
             "       maggr -l\n"
             "\n"
             "Puts lines of text together by key and prints one line for each key: the key, and\n"
             "what the operations made of the other columns. Columns and lists are in the order\n"
             "given; columns are numbered from 1 and separated by each single delimiter.\n"
             "\n"
             "  -c COLUMN=OPERATIONS  what to do with a column, such as `-c1=key -c3=sum,mean`\n"
             "  OPERATIONS            what to do with all other columns (default: nop)\n"
             "  -t COLUMN=FORMATS     printf formats for a column's operations, such as\n"
             "                        `-t3=%d,%.2f`; an empty one leaves it to -T\n"
             "  -T FORMATS            formats for what has none by -t; a single one is for all\n"
             "  -f FILE               read FILE instead of standard input\n"
             "  -d DELIMITER          between columns of the input (default: a space)\n"
             "  -o DELIMITER          between columns of the output (default: that of the input)\n"
             "  -i DELIMITER          between the results of one column (default: a comma)\n"
             "  -l                    list the operations, on standard error\n"
             "  --help                this text\n"
             "\n"
             "Operations: key (part of the key), nop (leave the column out), count, max, mean,\n"
             "min, range (max - min), sum, variance and ovariance (of a sample), stddev.\n"
             "\n"
             "A line with a column that should be a number and is none is named on standard\n"
             "error and left out; the exit status is 1 then.\n"
             "\n"
             "Examples:\n"
             "  printf 'foo 3\\nfoo 4\\nbar 1\\n' | maggr -c1=key sum,mean\n"
             "  tr -cs A-Za-z '\\n' < letters.txt | sed 's/$/ 1/' | maggr -c1=key count\n"
             "\n"
             "Exit status: 0; 1 if a line was left out or something failed; 2 for wrong usage.\n",
};

struct formats {
    struct format *of; /* one for each operation, as far as given */
    size_t n;
};

struct plan {
    struct tally *columns; /* in the form of aggregate_spec */
    struct formats *formats;
    size_t n;
    struct tally others;
    struct formats other_formats;
    const char *file;
    const char *input;
    const char *output;
    const char *inner;
};

static void *need(void *memory)
{
    if (!memory)
        tool_fail(&tool, "no memory");
    return memory;
}

static struct tally operations(const char *list)
{
    struct tally tally;
    const char *op;
    const char *wrong = tally_read(&tally, list, &op);

    if (wrong && strcmp(wrong, "unsupported operation") == 0)
        tool_misused(&tool, "%s: %.*s", wrong, (int)strcspn(op, ","), op);
    if (wrong)
        tool_misused(&tool, "%s", wrong);
    return tally;
}

static struct formats formats_of(const char *list)
{
    struct formats formats = {0};

    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");
        const char *wrong;

        formats.of = need(realloc(formats.of, (formats.n + 1) * sizeof *formats.of));
        wrong = format_read(&formats.of[formats.n++], at, len);
        if (wrong)
            tool_misused(&tool, "the format \"%.*s\" %s", (int)len, at, wrong);
        at += len;
        if (*at == '\0')
            return formats;
    }
}

/* The column, from 0, of an operand "3=list"; *list points behind the =. The plan has room for the column then. */
static size_t column_of(struct plan *plan, const char *operand, const char **list)
{
    size_t digits = strspn(operand, "0123456789");
    unsigned long column = strtoul(operand, NULL, 10);

    if (digits == 0 || (operand[digits] != '=' && operand[digits] != '\0'))
        tool_misused(&tool, "invalid column number: %.*s", (int)strcspn(operand, "="), operand);
    *list = operand + digits + 1;
    if (operand[digits] == '\0' || strchr(*list, '='))
        tool_misused(&tool, "invalid column format: %s", operand);
    if (column < 1 || column > AGGREGATE_COLUMNS)
        tool_misused(&tool, "invalid column number: %.*s", (int)digits, operand);
    if (column > plan->n) {
        size_t more = column - plan->n;

        plan->columns = need(realloc(plan->columns, column * sizeof *plan->columns));
        plan->formats = need(realloc(plan->formats, column * sizeof *plan->formats));
        memset(plan->columns + plan->n, 0, more * sizeof *plan->columns);
        memset(plan->formats + plan->n, 0, more * sizeof *plan->formats);
        plan->n = column;
    }
    return column - 1;
}

static void list_operations(void)
{
    for (size_t op = 0; op < TALLY_OPS; op++)
        fprintf(stderr, "%s%s", op ? " " : "", tally_names[op]);
    fputc('\n', stderr);
    exit(0);
}

/* Handle one option; returns whether it names operations of a column. */
static int take_option(struct plan *plan, int found)
{
    const char *list;
    size_t column;

    switch (found) {
    case 'c':
        column = column_of(plan, optarg, &list);
        plan->columns[column] = operations(list);
        return 1;
    case 't':
        column = column_of(plan, optarg, &list);
        free(plan->formats[column].of);
        plan->formats[column] = formats_of(list);
        break;
    case 'T':
        free(plan->other_formats.of);
        plan->other_formats = formats_of(optarg);
        break;
    case 'f':
        plan->file = optarg;
        break;
    case 'd':
        plan->input = optarg;
        break;
    case 'o':
        plan->output = optarg;
        break;
    case 'i':
        plan->inner = optarg;
        break;
    case 'l':
        list_operations();
        break;
    }
    return 0;
}

/* The first of two delimiters that is not empty. */
static const char *either(const char *wanted, const char *otherwise)
{
    return wanted && *wanted ? wanted : otherwise;
}

static void parse(int argc, char **argv, struct plan *plan)
{
    int any = 0;
    int found;

    while ((found = tool_option(&tool, argc, argv, "c:t:T:f:d:o:i:l", NULL)) != -1)
        any |= take_option(plan, found);
    if (!any && optind == argc)
        tool_misused(&tool, "no operations specified");
    if (argc - optind > 1)
        tool_misused(&tool, "unexpected argument: %s", argv[optind + 1]);
    plan->others = operations(optind < argc ? argv[optind] : tally_names[TALLY_NOP]);
    plan->input = either(plan->input, " ");
    plan->output = either(plan->output, plan->input);
    plan->inner = either(plan->inner, ",");
}

/* Aggregate all lines of a source. Returns the exit status so far. */
static int read_lines(struct aggregate *aggregate, int source)
{
    struct reader reader;
    struct span line;
    size_t column;
    int status = 0;
    int got;

    if (reader_open(&reader, source) < 0)
        tool_fail(&tool, "no memory");
    while ((got = reader_next(&reader, &line)) > 0) {
        switch (aggregate_add(aggregate, line, &column)) {
        case AGGREGATE_DONE:
            break;
        case AGGREGATE_NUMBER:
            fprintf(stderr, "Non-number in non-key column %zu. line: ", column);
            fwrite(line.at, 1, line.len, stderr);
            fputc('\n', stderr);
            status = TOOL_FAILED;
            break;
        case AGGREGATE_WIDE:
            tool_fail(&tool, "a line has more than %d columns", AGGREGATE_COLUMNS);
        default:
            tool_fail(&tool, "no memory for so many keys");
        }
    }
    if (got < 0)
        tool_fail(&tool, "cannot read the input: %s", strerror(errno));
    reader_close(&reader);
    return status;
}

/* The format of a column's i-th operation: by -t, else by -T, else none. */
static const struct format *format_for(const struct plan *plan, size_t column, size_t i)
{
    const struct formats *others = &plan->other_formats;
    const struct format *chosen = NULL;

    if (column < plan->n && i < plan->formats[column].n)
        chosen = &plan->formats[column].of[i];
    if ((!chosen || chosen->before.len + (size_t)chosen->letter == 0) && others->n > 0)
        chosen = others->n == 1 ? &others->of[0] : i < others->n ? &others->of[i] : NULL;
    return chosen && chosen->before.len + (size_t)chosen->letter > 0 ? chosen : NULL;
}

static void print_results(const struct plan *plan, const struct tally *tally, const double *numbers, size_t column)
{
    char text[NUMBER_ROOM];

    for (size_t i = 0; i < tally->n; i++) {
        double result = tally_result(tally, numbers, tally->ops[i]);
        const struct format *format = format_for(plan, column, i);

        if (i > 0)
            fputs(plan->inner, stdout);
        if (format)
            format_print(format, result, stdout);
        else
            fwrite(text, 1, number_print(result, text), stdout);
    }
}

static void print_group(const struct plan *plan, const struct aggregate *aggregate, const struct group *group)
{
    int any = 0;

    for (size_t i = 0; i < group->columns; i++) {
        const struct tally *tally = aggregate_tally(aggregate->spec, i);

        if (tally_is(tally, TALLY_NOP))
            continue;
        if (any++)
            fputs(plan->output, stdout);
        if (tally_is(tally, TALLY_KEY)) {
            struct span text = aggregate_text(aggregate, group, i);

            fwrite(text.at, 1, text.len, stdout);
        } else {
            print_results(plan, tally, aggregate_numbers(aggregate, group, i), i);
        }
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    static struct plan plan;
    struct aggregate aggregate;
    int source = STDIN_FILENO;
    int status;

    parse(argc, argv, &plan);
    if (plan.file && (source = open(plan.file, O_RDONLY | O_CLOEXEC)) < 0)
        tool_fail(&tool, "cannot open \"%s\": %s", plan.file, strerror(errno));
    const struct aggregate_spec spec = {plan.columns, plan.n, &plan.others, {plan.input, strlen(plan.input)}};
    if (aggregate_begin(&aggregate, &spec) < 0)
        tool_fail(&tool, "no memory");
    status = read_lines(&aggregate, source);
    aggregate_sort(&aggregate);
    for (size_t i = 0; i < aggregate.n; i++)
        print_group(&plan, &aggregate, &aggregate.groups[i]);
    if (fflush(stdout) != 0 || ferror(stdout))
        tool_fail(&tool, "cannot write the output: %s", strerror(errno));
    return status; /* the rest of the memory is freed by the exit, which is faster */
}
