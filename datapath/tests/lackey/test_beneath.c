#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "lackey/beneath.h"

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

int main(void)
{
    char base[] = "/tmp/beneath.XXXXXX";
    int fd;

    CHECK(mkdtemp(base) != NULL);
    int place = open(base, O_PATH | O_DIRECTORY);
    CHECK(place >= 0);
    CHECK(mkdirat(place, "sub", 0700) == 0);
    CHECK((fd = openat(place, "sub/core", O_CREAT | O_WRONLY, 0600)) >= 0 && close(fd) == 0);
    CHECK(symlinkat("/etc/passwd", place, "link") == 0 && symlinkat("/etc", place, "way") == 0);
    CHECK(mkfifoat(place, "fifo", 0600) == 0);

    CHECK((fd = beneath_file(place, "sub/core")) >= 0 && close(fd) == 0);
    CHECK(beneath_file(place, "link") == -1 && errno == ELOOP);
    CHECK(beneath_file(place, "way/passwd") == -1 && errno == ELOOP);
    CHECK(beneath_file(place, "../../etc/passwd") == -1 && errno == EXDEV);
    CHECK(beneath_file(place, "/etc/passwd") == -1 && errno == EXDEV);
    CHECK(beneath_file(place, "fifo") == -1 && errno == EINVAL); /* and it did not hang */
    CHECK(beneath_file(place, "sub") == -1 && errno == EINVAL);
    CHECK(beneath_directory(place, "way") == -1);

    close(place);
    CHECK(nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
