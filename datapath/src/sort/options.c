#include "sort/options.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int options_next(const struct tool *tool, int argc, char **argv, const char *letters, const struct option *words)
{
    int found;

    opterr = 0;
    found = getopt_long(argc, argv, letters, words, NULL);
    if (found == ':')
        tool_misused(tool, "option needs a value: %s", argv[optind - 1]);
    if (found == '?' && optopt > 0 && optopt <= UINT8_MAX)
        tool_misused(tool, "unknown option: -%c", optopt);
    if (found == '?')
        tool_misused(tool, "unknown option: %s", argv[optind - 1]);
    return found;
}

static void set_separator(const struct tool *tool, struct ordering *ordering, const char *text)
{
    int separator = strcmp(text, "\\0") == 0 ? '\0' : (unsigned char)text[0];

    if (!*text)
        tool_misused(tool, "the separator is empty");
    if (text[1] && separator)
        tool_misused(tool, "the separator has more than one byte: %s", text);
    if (ordering->separator >= 0 && ordering->separator != separator)
        tool_misused(tool, "two different separators");
    ordering->separator = separator;
}

static void add_key(const struct tool *tool, struct ordering *ordering, const char *text)
{
    char why[KEYDEF_WHY];

    if (ordering->n == KEYS_MAX)
        tool_misused(tool, "more than %d keys", KEYS_MAX);
    if (keydef_read(text, &ordering->keys[ordering->n++], why) < 0)
        tool_misused(tool, "%s", why);
}

int options_take(const struct tool *tool, struct ordering *ordering, int found)
{
    uint32_t flag = found > 0 && found <= UINT8_MAX ? keydef_flag((char)found) : 0;

    switch (found) {
    case 'k':
        add_key(tool, ordering, optarg);
        return 1;
    case 't':
        set_separator(tool, ordering, optarg);
        return 1;
    case 's':
        ordering->is_stable = 1;
        return 1;
    case 'u':
        ordering->is_unique = 1;
        return 1;
    case 'z':
        ordering->end = '\0';
        return 1;
    case OPTION_HELP:
        fputs(tool->usage, stdout);
        exit(0);
    case 'R':
        tool_misused(tool, "-R is not supported: pipe through `shuf` instead");
    }
    ordering->flags |= flag;
    return flag != 0;
}

void options_finish(const struct tool *tool, struct ordering *ordering)
{
    char why[KEYDEF_WHY];

    if (keydef_finish(ordering, why) < 0)
        tool_misused(tool, "%s", why);
}

size_t options_memory(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t options_size(const struct tool *tool, const char *text)
{
    static const char UNITS[] = "bKMGTPE";
    double value;
    const char *unit;
    char *end;

    if (*text < '0' || *text > '9')
        tool_misused(tool, "invalid size: %s", text);
    value = strtod(text, &end);
    if (strcmp(end, "%") == 0)
        return (size_t)(value / 100 * (double)options_memory());
    unit = strchr(UNITS, *end == 'k' || !*end ? 'K' : *end);
    if (!unit || (*end && end[1]))
        tool_misused(tool, "invalid size: %s", text);
    for (const char *at = UNITS; at < unit; at++)
        value *= 1024;
    return value < (double)(SIZE_MAX / 4) ? (size_t)value : SIZE_MAX / 4;
}

uint32_t options_count(const struct tool *tool, const char *text, const char *what, int32_t most)
{
    int32_t count = tool_whole(tool, text, what);

    if (count < 1 || count > most)
        tool_misused(tool, "%s: %s (1 to %d)", what, text, most);
    return (uint32_t)count;
}
