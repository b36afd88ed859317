/* Files on their way to being blobs: their modes, who may still write to them, and their names. */
#include "streams/blobfile.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int directory(void)
{
    char name[] = "/tmp/blobfile.XXXXXX";

    CHECK(mkdtemp(name));
    int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(dir >= 0 && fchmod(dir, 0777) == 0);
    return dir;
}

static void end(int dir, const char *const *names)
{
    char path[64];
    char link[32];

    for (; *names; names++)
        CHECK(unlinkat(dir, *names, 0) == 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t len = readlink(link, path, sizeof path - 1);

    CHECK(len > 0);
    path[len] = 0;
    CHECK(rmdir(path) == 0 && close(dir) == 0);
}

static int written(int dir, const char *text)
{
    int fd = blobfile_create(dir, 0622);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static unsigned mode_of(int fd)
{
    struct stat status;

    CHECK(fstat(fd, &status) == 0);
    return status.st_mode & 07777;
}

static int holds(int fd, const char *text)
{
    char got[64];

    return pread(fd, got, sizeof got, 0) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0;
}

static void a_file_has_the_mode_that_was_asked_for(int dir)
{
    mode_t before = umask(077);
    int fd = blobfile_create(dir, 0622);

    CHECK(fd >= 0 && mode_of(fd) == 0622 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(blobfile_publish(fd, dir, "mode", 0444) == 0 && mode_of(fd) == 0444);
    CHECK(close(fd) == 0);
    umask(before);
}

static void a_sealed_file_is_the_same_and_is_only_read(int dir)
{
    uint64_t size = 0;
    int fd = written(dir, "text");

    CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0 || errno == EOPNOTSUPP);
    CHECK(blobfile_seal(fd, &size) == BLOBFILE_SEALED && size == 4 && holds(fd, "text"));
    struct stat status;

    CHECK(fstat(fd, &status) == 0 && status.st_blocks * 512 <= status.st_blksize);
    CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EBADF && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(blobfile_seal(fd, &size) == BLOBFILE_SEALED);
    CHECK(blobfile_empty(fd) < 0 && errno == EINVAL && holds(fd, "text"));
    CHECK(blobfile_publish(fd, dir, "sealed", 0444) == 0 && close(fd) == 0);
}

static void a_file_that_another_may_write_is_told(int dir)
{
    uint64_t size = 0;
    int fd = written(dir, "text");
    int kept = dup(fd);

    CHECK(kept >= 0 && blobfile_seal(fd, &size) == BLOBFILE_SHARED && size == 4);
    CHECK(close(kept) == 0 && blobfile_seal(fd, &size) == BLOBFILE_SEALED && close(fd) == 0);
}

static void a_small_file_is_kept_in_one_call(int dir)
{
    static const unsigned char of_text[] = {0x1c, 0xb2, 0x51, 0xec, 0x0d, 0x56, 0x8d, 0xe6,
                                            0xa9, 0x29, 0xb5, 0x20, 0xc4, 0xae, 0xd8, 0xd1};
    struct blobfile_kept kept;
    int fd = written(dir, "text");
    int other = dup(fd);

    CHECK(blobfile_keep(fd, dir, "kept", 0444, 1, &kept) == BLOBFILE_SHARED);
    CHECK(faccessat(dir, "kept", F_OK, 0) < 0 && close(other) == 0);
    CHECK(blobfile_keep(fd, dir, "no/kept", 0444, 1, &kept) < 0 && errno == ENOENT);
    CHECK(blobfile_keep(fd, dir, "kept", 0444, 1, &kept) == BLOBFILE_SEALED && kept.size == 4);
    CHECK(memcmp(kept.md5, of_text, sizeof of_text) == 0 && mode_of(fd) == 0444);
    CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EBADF && close(fd) == 0);
    int found = blobfile_open(dir, "kept");

    CHECK(found >= 0 && holds(found, "text") && close(found) == 0);
}

static void an_empty_or_a_large_file_gets_no_name_by_that(int dir)
{
    struct blobfile_kept kept;
    int fd = written(dir, "");

    CHECK(blobfile_keep(fd, dir, "none", 0444, 1, &kept) == BLOBFILE_SEALED && kept.size == 0);
    CHECK(ftruncate(fd, BLOBFILE_SMALL + 1) == 0);
    CHECK(blobfile_keep(fd, dir, "none", 0444, 1, &kept) == BLOBFILE_LARGE && pwrite(fd, "x", 1, 0) == 1);
    CHECK(faccessat(dir, "none", F_OK, 0) < 0 && ftruncate(fd, BLOBFILE_SMALL) == 0);
    CHECK(blobfile_keep(fd, dir, "most", 0444, 0, &kept) == BLOBFILE_SEALED && kept.size == BLOBFILE_SMALL);
    CHECK(close(fd) == 0 && blobfile_keep(fd, dir, "none", 0444, 1, &kept) < 0 && errno == EBADF);
}

static void bytes_and_space_of_files_are_added_up(int dir)
{
    int fds[] = {written(dir, "text"), written(dir, "words"), written(dir, "")};
    struct blobfile_total total;

    CHECK(blobfile_total(fds, 3, &total) == 0 && total.size == 9 && total.disk % 512 == 0);
    CHECK(blobfile_total(fds, 0, &total) == 0 && total.size == 0 && total.disk == 0);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0 && close(fds[2]) == 0);
    CHECK(blobfile_total(fds, 3, &total) < 0 && errno == EBADF);
}

static void an_emptied_file_begins_anew(int dir)
{
    int fd = written(dir, "text");

    CHECK(blobfile_empty(fd) == 0 && write(fd, "new", 3) == 3 && holds(fd, "new"));
    CHECK(blobfile_empty(fd) == 0 && blobfile_empty(fd) == 0 && holds(fd, "") && close(fd) == 0);
    CHECK(blobfile_empty(fd) < 0 && errno == EBADF);
}

static void a_blob_is_opened_unless_it_is_leased(int dir)
{
    int owner = openat(dir, "sealed", O_RDONLY | O_CLOEXEC);
    int fd = blobfile_open(dir, "sealed");

    CHECK(owner >= 0 && fd >= 0 && holds(fd, "text"));
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC) && close(fd) == 0);
    signal(SIGIO, SIG_IGN);
    CHECK(fcntl(owner, F_SETLEASE, F_WRLCK) == 0);
    CHECK(blobfile_open(dir, "sealed") < 0 && errno == EWOULDBLOCK);
    CHECK(close(owner) == 0 && blobfile_open(dir, "absent") < 0 && errno == ENOENT);
}

static void a_name_is_given_once_and_where_there_is_a_directory(int dir)
{
    int fd = written(dir, "text");

    CHECK(blobfile_link(fd, dir, "no/name") < 0 && errno == ENOENT);
    CHECK(blobfile_link(fd, dir, "name") == 0 && blobfile_link(fd, dir, "other") == 0);
    CHECK(blobfile_link(fd, dir, "name") < 0 && errno == EEXIST && close(fd) == 0);
    CHECK(blobfile_link(fd, dir, "closed") < 0 && errno == EBADF);
}

/* An ordinary user may not link by a descriptor alone. */
static void a_name_is_given_by_any_user(int dir)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        if (geteuid() == 0)
            CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        int fd = written(dir, "text");
        uint64_t size;

        CHECK(blobfile_seal(fd, &size) == BLOBFILE_SEALED && size == 4);
        CHECK(blobfile_publish(fd, dir, "theirs", 0444) == 0 && mode_of(fd) == 0444);
        _exit(0);
    }
    int status;

    CHECK(waitpid(child, &status, 0) == child && status == 0);
    int fd = blobfile_open(dir, "theirs");

    CHECK(fd >= 0 && holds(fd, "text") && close(fd) == 0);
}

int main(void)
{
    static const char *const NAMES[] = {"mode", "sealed", "name", "other", "theirs", "kept", "most", NULL};
    int dir = directory();

    a_file_has_the_mode_that_was_asked_for(dir);
    a_sealed_file_is_the_same_and_is_only_read(dir);
    a_file_that_another_may_write_is_told(dir);
    a_small_file_is_kept_in_one_call(dir);
    an_empty_or_a_large_file_gets_no_name_by_that(dir);
    bytes_and_space_of_files_are_added_up(dir);
    an_emptied_file_begins_anew(dir);
    a_blob_is_opened_unless_it_is_leased(dir);
    a_name_is_given_once_and_where_there_is_a_directory(dir);
    a_name_is_given_by_any_user(dir);
    end(dir, NAMES);
    return 0;
}
