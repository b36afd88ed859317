#include "lackey/plain.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* ---- scripts ---- */

/* All builtins and keywords of bash 5 that are made of letters, digits and `.`; the others are not plain anyway. */
static const char *const own_words[] = {
    ".",       "alias",    "bg",        "bind",     "break",    "builtin", "caller",  "case",   "cd",      "command",
    "compgen", "complete", "compopt",   "continue", "coproc",   "declare", "dirs",    "disown", "do",      "done",
    "echo",    "elif",     "else",      "enable",   "esac",     "eval",    "exec",    "exit",   "export",  "false",
    "fc",      "fg",       "fi",        "for",      "function", "getopts", "hash",    "help",   "history", "if",
    "in",      "jobs",     "kill",      "let",      "local",    "logout",  "mapfile", "popd",   "printf",  "pushd",
    "pwd",     "read",     "readarray", "readonly", "return",   "select",  "set",     "shift",  "shopt",   "source",
    "suspend", "test",     "then",      "time",     "times",    "trap",    "true",    "type",   "typeset", "ulimit",
    "umask",   "unalias",  "unset",     "until",    "wait",     "while",   NULL};

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* Whether a character means itself outside of quotes, wherever it is in a word that is not the first. */
static int is_literal(char c)
{
    return is_letter(c) || is_digit(c) || is_one_of(c, "%+,-./:=@^_");
}

/* Whether it means itself between two of `quote`. */
static int is_quotable(char c, char quote)
{
    return c >= ' ' && c <= '~' && !(quote == '"' && is_one_of(c, "$`\\!"));
}

/* Whether bash would take a word for the name of a program: not for an option of its own, an assignment, a job. */
static int is_program(const char *word)
{
    if (!is_letter(*word) && !is_digit(*word) && !is_one_of(*word, "./_"))
        return 0;
    for (const char *at = word; *at; at++)
        if (!is_letter(*at) && !is_digit(*at) && !is_one_of(*at, "+-./_"))
            return 0;
    for (const char *const *own = own_words; *own; own++)
        if (strcmp(word, *own) == 0)
            return 0;
    return 1;
}

/* Copy what quotes enclose to `*to`. Returns what follows the second one; NULL: it is not plain, or never ends. */
static const char *copy_quoted(const char *at, char **to)
{
    char quote = *at++;

    for (; *at != quote; at++) {
        if (!is_quotable(*at, quote))
            return NULL;
        *(*to)++ = *at;
    }
    return at + 1;
}

/* Copy a word and a NUL to `*to`. Returns what follows it; NULL: it is not plain. */
static const char *copy_word(const char *at, char **to)
{
    while (at && *at && *at != ' ' && *at != '\t') {
        if (*at == '\'' || *at == '"')
            at = copy_quoted(at, to);
        else if (is_literal(*at))
            *(*to)++ = *at++;
        else
            return NULL;
    }
    *(*to)++ = '\0';
    return at;
}

int plain_parse(struct plain *plain, const char *script)
{
    char *to = plain->text;
    size_t count = 0;

    plain->words[0] = NULL;
    if (strlen(script) >= PLAIN_BYTES)
        return 0;
    for (const char *at = script + strspn(script, " \t"); *at; at += strspn(at, " \t")) {
        char *word = to;

        at = copy_word(at, &to); /* no longer than the word and what follows it in the script */
        if (!at || count == PLAIN_WORDS || (count == 0 && !is_program(word))) {
            plain->words[0] = NULL;
            return 0;
        }
        plain->words[count++] = word;
    }
    plain->words[count] = NULL;
    return count > 0;
}

/* ---- environments ---- */

/* The value of a variable of this name, or NULL. */
static const char *value_of(const char *variable, const char *name)
{
    size_t len = strlen(name);

    return strncmp(variable, name, len) == 0 && variable[len] == '=' ? variable + len + 1 : NULL;
}

static const char *value_in(char *const *variables, const char *name)
{
    const char *value = NULL;

    while (*variables && !value)
        value = value_of(*variables++, name);
    return value;
}

/* Whether a variable has a name of tasks: bash knows others, and passes names that are no identifiers on in its way. */
static int is_of_tasks(const char *variable)
{
    static const char *const names[] = {"HOME", "PATH", "SHELL", "TMPDIR", "TAR_OPTIONS", "DTRACE_DOF_INIT_DISABLE"};
    static const char *const beginnings[] = {"MANTA_", "REMORA_", "mc_"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_of(variable, names[i]))
            return 1;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(variable, beginnings[i], strlen(beginnings[i])) == 0) {
            while (is_letter(*variable) || is_digit(*variable) || *variable == '_')
                variable++;
            return *variable == '=';
        }
    return 0;
}

int plain_environment(char *const *variables)
{
    while (*variables)
        if (!is_of_tasks(*variables++))
            return 0;
    return 1;
}

/* ---- programs ---- */

/* Find a program as bash does. Returns 0 and its path, or -1 if bash is to look for it. */
static int find(const char *name, const char *path, char found[PATH_MAX])
{
    size_t name_size = strlen(name) + 1;

    if (strchr(name, '/')) {
        if (name_size <= PATH_MAX)
            memcpy(found, name, name_size);
        return name_size <= PATH_MAX ? 0 : -1;
    }
    for (; path; path = path[0] == ':' ? path + 1 : NULL) {
        size_t len = strcspn(path, ":");

        if (path[0] != '/' || path[len - 1] == '/' || len + 1 + name_size > PATH_MAX)
            return -1;
        memcpy(found, path, len);
        found[len] = '/';
        memcpy(found + len + 1, name, name_size);
        if (access(found, X_OK) == 0)
            return 0;
        if (errno != ENOENT && errno != ENOTDIR)
            return -1;
        path += len;
    }
    return -1;
}

void plain_execute(char *const *words, char **variables)
{
    static char directory[sizeof "PWD=" + PATH_MAX] = "PWD=", program[sizeof "_=" + PATH_MAX] = "_=";
    static char level[] = "SHLVL=0"; /* without a shell around them, as bash 5 counts */
    static char *const added[PLAIN_VARIABLES + 1] = {directory, level, program, NULL};
    char **end = variables;

    if (!getcwd(directory + strlen("PWD="), PATH_MAX) ||
        find(words[0], value_in(variables, "PATH"), program + strlen("_=")) < 0)
        return;
    while (*end)
        end++;
    memcpy(end, added, sizeof added);
    execve(program + strlen("_="), words, variables);
    *end = NULL;
}
