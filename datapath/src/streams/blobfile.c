#include "streams/blobfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash/md5.h"

enum { BLOCK = 512, PROC_NAME = 32 };

/* Close without losing the errno of what has failed. */
static int failed(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

static void name_in_proc(char name[PROC_NAME], int fd)
{
    snprintf(name, PROC_NAME, "/proc/self/fd/%d", fd);
}

/* A change of a mode is written to the disk's journal, also if it is none. */
static int change_mode(int fd, const struct stat *status, unsigned mode)
{
    return (status->st_mode & 07777) == mode ? 0 : fchmod(fd, (mode_t)mode);
}

static int have_mode(int fd, unsigned mode)
{
    struct stat status;

    return fstat(fd, &status) < 0 ? -1 : change_mode(fd, &status, mode);
}

int blobfile_create(int dir, unsigned mode)
{
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, (mode_t)mode);

    if (fd >= 0 && have_mode(fd, mode) < 0)
        return failed(fd);
    return fd;
}

int blobfile_open(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0 && fcntl(fd, F_SETFL, 0) < 0)
        return failed(fd);
    return fd;
}

int blobfile_empty(int fd)
{
    struct stat status;

    if (lseek(fd, 0, SEEK_SET) < 0 || fstat(fd, &status) < 0)
        return -1;
    return status.st_size || status.st_blocks ? ftruncate(fd, 0) : 0;
}

/* Give back what a task has reserved beyond the end. A file that was sealed before has none, and cannot be cut. */
static int trim(int fd, const struct stat *status)
{
    if (status->st_blocks * BLOCK <= status->st_size + status->st_blksize)
        return 0;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -1;
    return (flags & O_ACCMODE) == O_RDONLY ? 0 : ftruncate(fd, status->st_size);
}

/* Seal a file of this status, which becomes that of the sealed file. */
static int seal(int fd, struct stat *status)
{
    char name[PROC_NAME];

    if (trim(fd, status) < 0)
        return -1;
    name_in_proc(name, fd);
    int reader = open(name, O_RDONLY | O_CLOEXEC);

    if (reader < 0)
        return -1;
    if (dup3(reader, fd, O_CLOEXEC) < 0)
        return failed(reader);
    close(reader);
    int is_alone = fcntl(fd, F_SETLEASE, F_RDLCK) == 0 && fcntl(fd, F_SETLEASE, F_UNLCK) == 0;

    if (fstat(fd, status) < 0)
        return -1;
    return is_alone ? BLOBFILE_SEALED : BLOBFILE_SHARED;
}

int blobfile_seal(int fd, uint64_t *size)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -1;
    int sealed = seal(fd, &status);

    *size = (uint64_t)status.st_size;
    return sealed;
}

/* The bytes of a sealed file. */
static int read_whole(int fd, unsigned char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);

        if (got <= 0) {
            if (got == 0)
                errno = EIO; /* it had these bytes */
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

int blobfile_keep(int fd, int dir, const char *name, unsigned mode, int hashed, struct blobfile_kept *kept)
{
    unsigned char bytes[BLOBFILE_SMALL];
    struct stat status;

    kept->size = 0;
    if (fstat(fd, &status) < 0)
        return -1;
    if (status.st_size == 0)
        return BLOBFILE_SEALED;
    if (status.st_size > BLOBFILE_SMALL)
        return BLOBFILE_LARGE;
    int sealed = seal(fd, &status);

    if (sealed != BLOBFILE_SEALED)
        return sealed;
    if (status.st_size > BLOBFILE_SMALL) /* it grew until now */
        return BLOBFILE_LARGE;
    kept->size = (uint64_t)status.st_size;
    if (hashed) {
        if (read_whole(fd, bytes, kept->size) < 0)
            return -1;
        md5_digest(bytes, kept->size, kept->md5);
    }
    if (change_mode(fd, &status, mode) < 0 || blobfile_link(fd, dir, name) < 0)
        return -1;
    return BLOBFILE_SEALED;
}

int blobfile_total(const int *fds, size_t n, struct blobfile_total *total)
{
    struct stat status;

    total->size = total->disk = 0;
    for (size_t i = 0; i < n; i++) {
        if (fstat(fds[i], &status) < 0)
            return -1;
        total->size += (uint64_t)status.st_size;
        total->disk += (uint64_t)status.st_blocks * BLOCK;
    }
    return 0;
}

int blobfile_link(int fd, int dir, const char *name)
{
    char source[PROC_NAME];

    if (linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT) /* of a caller who may not, or of a directory that is not there: the other way says which */
        return -1;
    name_in_proc(source, fd);
    return linkat(AT_FDCWD, source, dir, name, AT_SYMLINK_FOLLOW);
}

int blobfile_publish(int fd, int dir, const char *name, unsigned mode)
{
    return have_mode(fd, mode) < 0 ? -1 : blobfile_link(fd, dir, name);
}
