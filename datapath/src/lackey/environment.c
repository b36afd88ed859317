#include "lackey/environment.h"

#include <errno.h>
#include <fcntl.h>
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
    static char *variables[ENVIRONMENT_VARIABLES + 1];
    int count = point_at(variables, 0, common, common_len);

    if (count < 0 || point_at(variables, count, own, own_len) < 0) {
        errno = E2BIG;
        return NULL;
    }
    return variables;
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
