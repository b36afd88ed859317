/*
 * launch - run a script by an interpreter that brings its own libraries.
 *
 * Meant for the first line of scripts, where the kernel allows one word after the program:
 *
 *     #!DIR/launch PYTHON
 *
 * DIR also holds `loader`, a dynamic loader, and all libraries that PYTHON is linked with. So
 * the image needs nothing, not even a C library, and no environment variable makes programs
 * that the script starts load these libraries.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    char directory[PATH_MAX], loader[PATH_MAX + 8];
    char **words;

    if (argc < 3 || slash == NULL || slash - argv[0] >= PATH_MAX) {
        fputs("launch: to be used as \"#!DIR/launch PYTHON\"\n", stderr);
        return 2;
    }
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - argv[0]), argv[0]);
    snprintf(loader, sizeof loader, "%s/loader", directory);
    char *first[] = {loader, "--library-path", directory, argv[1], "-I", "-S", "-X", "utf8"};
    size_t count = sizeof first / sizeof *first, rest = (size_t)argc - 2;

    words = calloc(count + rest + 1, sizeof *words);
    if (words != NULL) {
        memcpy(words, first, sizeof first);
        memcpy(words + count, argv + 2, rest * sizeof *words);
        execv(loader, words);
    }
    fprintf(stderr, "launch: %s: %s\n", loader, strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
