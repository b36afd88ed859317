#include "lackey/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_beneath(int directory, const char *relative, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, directory, relative, &how, sizeof how);
}

int beneath_file(int directory, const char *relative)
{
    struct stat status;
    int fd = open_beneath(directory, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

int beneath_directory(int directory, const char *relative)
{
    return open_beneath(directory, relative, O_PATH | O_DIRECTORY);
}
