/*
 * plain - execute the program of a plain script without bash.
 *
 * Of `wc -l`, bash makes two words, finds wc in PATH and executes it in its own place, and takes more time for that
 * than wc needs. A script is plain if bash would do no more: it is one command of words without expansions, and its
 * first word is neither a builtin nor a keyword. Aliases and functions cannot exist, as no start-up file is read and no
 * variable defines any. The caller then executes the program itself, and the program sees what bash would have shown
 * it: words, descriptors, process, and an environment with PWD, SHLVL and `_` (in an order of its own).
 *
 * Whatever could end otherwise is left to bash, which then fails or goes on as it always did: a variable that bash may
 * read, a program that is not found, is not executable or has no `#!`, a relative directory in PATH.
 */
#ifndef REMORA_PLAIN_H
#define REMORA_PLAIN_H

/* cffi begin */
enum {
    PLAIN_WORDS = 128,
    PLAIN_BYTES = 4096, /* of a script; longer ones, or ones of more words, are not plain */
    PLAIN_VARIABLES = 3 /* that bash adds to an environment */
};

/* The words of a plain script, up to a NULL; none: bash is needed. They point into `text`. */
struct plain {
    char *words[PLAIN_WORDS + 1];
    char text[PLAIN_BYTES];
};

/*
 * plain_parse - the words of a script.
 *
 * Returns 1, or 0 with no words if bash may do anything but execute them. Blanks divide words. Quotes, single or
 * double, are removed; what they enclose is printable ASCII without expansions. Outside of them only letters, digits
 * and `%+,-./:=@^_` are plain.
 */
int plain_parse(struct plain *plain, const char *script);

/* plain_environment - whether bash would pass all variables on unchanged and obey none but PATH. */
int plain_environment(char *const *variables);
/* cffi end */

/*
 * plain_execute - execute the program that `words` name, found in the PATH of `variables`, in place of this process.
 *
 * `variables` has room for PLAIN_VARIABLES more. Returns only if bash is needed; `variables` is as before then.
 * Allocates nothing and has no array on its stack: it may run in a child of vfork.
 */
void plain_execute(char *const *words, char **variables);

#endif
