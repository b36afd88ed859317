#include "sandbox/removal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int empty(int parent, const char *name, dev_t device, int depth);

static int is_gone(int result)
{
    return result < 0 && errno != ENOENT ? -1 : 0;
}

/* Most directories of an instance are empty: one call instead of five. */
static int remove_directory(int parent, const char *name, dev_t device, int depth)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return -1;
    if (empty(parent, name, device, depth) < 0)
        return -1;
    return is_gone(unlinkat(parent, name, AT_REMOVEDIR));
}

static int remove_entry(int parent, const struct dirent *entry, dev_t device, int depth)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return 0;
    if (entry->d_type == DT_DIR)
        return remove_directory(parent, entry->d_name, device, depth);
    if (is_gone(unlinkat(parent, entry->d_name, 0)) == 0)
        return 0;
    /* Some file systems do not tell what an entry is. */
    return errno == EISDIR ? remove_directory(parent, entry->d_name, device, depth) : -1;
}

static int remove_entries(DIR *directory, dev_t device, int depth)
{
    struct dirent *entry;

    while ((errno = 0, entry = readdir(directory)))
        if (remove_entry(dirfd(directory), entry, device, depth) < 0)
            return -1;
    return errno ? -1 : 0;
}

/* Remove what is in a directory; `device` is that of its parent, 0 for the first. */
static int empty(int parent, const char *name, dev_t device, int depth)
{
    struct stat status;
    DIR *directory = NULL;
    int result = -1, fd;

    if (depth == REMOVAL_DEPTH) {
        errno = ELOOP;
        return -1;
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return is_gone(fd);
    if (fstat(fd, &status) == 0) {
        if (device && status.st_dev != device)
            errno = EXDEV;
        else if ((directory = fdopendir(fd)))
            result = remove_entries(directory, status.st_dev, depth + 1);
    }
    int error = errno;
    if (directory)
        closedir(directory);
    else
        close(fd);
    errno = error;
    return result;
}

int removal_tree(const char *path)
{
    return remove_directory(AT_FDCWD, path, 0, 0);
}
