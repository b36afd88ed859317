#include "lackey/bash.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST = 64 << 20 };

const char *bash_find(void)
{
    static const char *const places[] = {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", NULL};

    for (const char *const *place = places; *place; place++)
        if (access(*place, X_OK) == 0)
            return *place;
    return places[0];
}

static int holds(int fd, size_t size, const char *text)
{
    void *content = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (content == MAP_FAILED)
        return 0;
    int found = memmem(content, size, text, strlen(text)) != NULL;
    munmap(content, size);
    return found;
}

int bash_is_five(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* an image may have anything in its place */

    if (fd < 0)
        return 0;
    int five = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= LARGEST &&
               holds(fd, (size_t)status.st_size, "@(#)Bash version 5.");
    close(fd);
    return five;
}
