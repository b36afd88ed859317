/*
 * options - the options that msort, mpartition and mmerge have in common.
 */
#ifndef REMORA_OPTIONS_H
#define REMORA_OPTIONS_H

#include <getopt.h>
#include <stddef.h>

#include "keys/keydef.h"
#include "protocol/tool.h"

/* What getopt returns for long options that have no letter; a tool's own begin at the last one. */
enum { OPTION_BORDERS = 256, OPTION_RUN, OPTION_HELP, OPTION_OWN };

/* The letters for getopt, and the long options: those that say how lines are ordered, and --help, are taken here. */
#define OPTIONS_LETTERS "bdfghik:MnrRsS:t:uVz"
#define OPTIONS_WORDS                                                                                                  \
    {"borders", required_argument, NULL, OPTION_BORDERS}, {"buffer-size", required_argument, NULL, 'S'},               \
        {"run", required_argument, NULL, OPTION_RUN}, {"help", no_argument, NULL, OPTION_HELP},                        \
        {"ignore-leading-blanks", no_argument, NULL, 'b'}, {"dictionary-order", no_argument, NULL, 'd'},               \
        {"ignore-case", no_argument, NULL, 'f'}, {"general-numeric-sort", no_argument, NULL, 'g'},                     \
        {"human-numeric-sort", no_argument, NULL, 'h'}, {"ignore-nonprinting", no_argument, NULL, 'i'},                \
        {"month-sort", no_argument, NULL, 'M'}, {"numeric-sort", no_argument, NULL, 'n'},                              \
        {"random-sort", no_argument, NULL, 'R'}, {"reverse", no_argument, NULL, 'r'},                                  \
        {"version-sort", no_argument, NULL, 'V'}, {"key", required_argument, NULL, 'k'},                               \
        {"stable", no_argument, NULL, 's'}, {"field-separator", required_argument, NULL, 't'},                         \
        {"unique", no_argument, NULL, 'u'}, {"zero-terminated", no_argument, NULL, 'z'}

/* The help for them, from -t to -u. */
#define OPTIONS_HELP                                                                                                   \
    "  -k KEYDEF        a key, `F[.C][FLAGS][,F[.C][FLAGS]]`: from character C of field F\n"                           \
    "                   to the end of another field, or to a character of it, counted\n"                               \
    "                   from 1. May be repeated: the next key decides where the ones\n"                                \
    "                   before are equal. Flags are the letters from -b to -V below;\n"                                \
    "                   those outside of keys are for keys without any\n"                                              \
    "  -t SEPARATOR     the byte between fields, `\\0` for NUL (default: a field begins with\n"                        \
    "                   the blanks before it)\n"                                                                       \
    "  -b               leave out blanks before a key\n"                                                               \
    "  -d               only blanks, letters and digits count\n"                                                       \
    "  -f               lower case counts as upper case\n"                                                             \
    "  -g               by floating-point numbers, such as 1.5e3\n"                                                    \
    "  -h               by numbers with a unit, such as 2K or 1.5G\n"                                                  \
    "  -i               only printable characters count\n"                                                             \
    "  -M               by months, JAN to DEC\n"                                                                       \
    "  -n               by numbers of any length, such as -0.25\n"                                                     \
    "  -r               backwards\n"                                                                                   \
    "  -V               by versions: numbers within text count as numbers\n"

/* options_next - the next option; as getopt_long returns it. A wrong one is misuse. */
int options_next(const struct tool *tool, int argc, char **argv, const char *letters, const struct option *words);

/*
 * options_take - take an option that getopt has found, if it says how lines are ordered. Returns whether; --help prints
 * the tool's text and exits.
 */
int options_take(const struct tool *tool, struct ordering *ordering, int found);

/* options_finish - check the ordering when all options are taken. */
void options_finish(const struct tool *tool, struct ordering *ordering);

/* options_size - a number of bytes: a number and a unit, K if it has none, or a part of the memory in percent. */
size_t options_size(const struct tool *tool, const char *text);

/* options_count - a number from 1 to `most`; `what` is the beginning of the sentence if it is none. */
uint32_t options_count(const struct tool *tool, const char *text, const char *what, int32_t most);

/* options_memory - how much memory there is on the machine. */
size_t options_memory(void);

#endif
