#include "lackey/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Append pointers to the variables of a block. Returns their number now, or -1 if there are too many. */
static int point_at(char **variables, int count, char *block, size_t len)
{
    for (char *at = block; at < block + len; at += strlen(at) + 1) {
        if (count == ENVIRONMENT_VARIABLES)
            return -1;
        variables[count++] = at;
    }
    variables[count] = NULL;
    return count;
}

char **environment_join(char *common, size_t common_len, char *own, size_t own_len)
{
    static char *variables[ENVIRONMENT_VARIABLES + PLAIN_VARIABLES + 1];
    int count = point_at(variables, 0, common, common_len);

    if (count < 0 || point_at(variables, count, own, own_len) < 0) {
        errno = E2BIG;
        return NULL;
    }
    return variables;
}

char *environment_with_shell(const char *block, size_t len, const char *shell, size_t *new_len)
{
    static const char name[] = "SHELL=";
    size_t name_len = sizeof name - 1, shell_size = strlen(shell) + 1;
    char *copy = malloc(len + name_len + shell_size);

    if (copy) {
        memcpy(copy, block, len);
        memcpy(copy + len, name, name_len);
        memcpy(copy + len + name_len, shell, shell_size);
        *new_len = len + name_len + shell_size;
    }
    return copy;
}

static int is_same(int one, int other)
{
    struct stat first, second;

    return fstat(one, &first) == 0 && fstat(other, &second) == 0 && S_ISREG(first.st_mode) &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

void environment_reopen_input(int *input, char *const *variables)
{
    static const char name[] = "MANTA_INPUT_FILE=";

    while (*variables && strncmp(*variables, name, sizeof name - 1) != 0)
        variables++;
    if (!*variables)
        return;
    int fd = open(*variables + sizeof name - 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (is_same(fd, *input)) {
        int given = *input;
        *input = fd;
        fd = given;
    }
    close(fd);
}
