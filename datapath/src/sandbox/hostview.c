#include "sandbox/hostview.h"

#include <stdlib.h>
#include <string.h>

/* Whether `path` is `directory`, or below it. */
static int is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

const char *const *hostview_programs(void)
{
    static const char *const names[] = {"bin",    "etc", "gnu", "lib",  "lib32", "lib64",
                                        "libx32", "nix", "opt", "sbin", "usr",   NULL};

    return names;
}

const char *const *hostview_system(void)
{
    static const char *const paths[] = {"sys/devices/system/cpu", "sys/devices/system/node", NULL};

    return paths;
}

int hostview_is_program(const char *path)
{
    for (const char *const *name = hostview_programs(); *name; name++)
        if (is_below(path + 1, *name))
            return 1;
    return 0;
}

int hostview_may_add(const char *path)
{
    static const char *const whole[] = {"/proc", "/dev", "/sys", "/manta", "/assets", "/.remora"};

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (is_below(path, whole[i]))
            return 0;
    return strcmp(path, "/") != 0 && strcmp(path, "/tmp") != 0 && strcmp(path, "/var/tmp") != 0 &&
           strcmp(path, "/root") != 0;
}

int hostview_resolver(char path[], size_t size)
{
    char *real = realpath("/etc/resolv.conf", NULL);
    int elsewhere = real && !hostview_is_program(real) && hostview_may_add(real) && strlen(real) < size;

    if (elsewhere)
        strcpy(path, real);
    free(real);
    return elsewhere;
}
