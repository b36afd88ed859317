#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "sandbox/removal.h"

static char base[] = "/tmp/removal.XXXXXX";

static const char *path(const char *name)
{
    static char text[256];

    snprintf(text, sizeof text, "%s/%s", base, name);
    return text;
}

static void make_file(const char *name)
{
    int fd = open(path(name), O_CREAT | O_WRONLY, 0600);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

static void removes_whatever_is_there(void)
{
    CHECK(mkdir(path("tree"), 0700) == 0 && mkdir(path("tree/empty"), 0) == 0);
    CHECK(mkdir(path("tree/full"), 0700) == 0 && mkdir(path("tree/full/inner"), 0700) == 0);
    CHECK(mkfifo(path("tree/full/fifo"), 0600) == 0);
    for (int i = 0; i < 3000; i++) {
        char name[64];
        snprintf(name, sizeof name, "tree/full/inner/%d", i);
        make_file(name);
    }
    CHECK(removal_tree(path("tree")) == 0);
    CHECK(access(path("tree"), F_OK) < 0);
    CHECK(removal_tree(path("tree")) == 0); /* none is no error */
}

static void follows_no_link(void)
{
    CHECK(mkdir(path("kept"), 0700) == 0 && mkdir(path("tree"), 0700) == 0);
    make_file("kept/file");
    CHECK(symlink("../kept", path("tree/link")) == 0 && symlink("kept", path("link")) == 0);
    CHECK(removal_tree(path("tree")) == 0);
    CHECK(removal_tree(path("link")) == -1 && errno == ENOTDIR);
    CHECK(access(path("kept/file"), F_OK) == 0);
    CHECK(unlink(path("link")) == 0 && removal_tree(path("kept")) == 0);
}

static void leaves_what_is_too_deep(void)
{
    int at = open(base, O_RDONLY | O_DIRECTORY);
    enum { DEEP = REMOVAL_DEPTH + 5 };

    for (int i = 0; i < DEEP; i++) {
        CHECK(mkdirat(at, "deep", 0700) == 0);
        int next = openat(at, "deep", O_RDONLY | O_DIRECTORY);
        CHECK(next >= 0 && close(at) == 0);
        at = next;
    }
    CHECK(close(at) == 0);
    CHECK(removal_tree(path("deep")) == -1 && errno == ELOOP);
    CHECK(chdir(path("deep/deep/deep/deep/deep/deep/deep/deep")) == 0);
    CHECK(removal_tree("deep") == 0);
    CHECK(chdir("/") == 0 && removal_tree(path("deep")) == 0);
}

int main(void)
{
    CHECK(mkdtemp(base) != NULL);
    removes_whatever_is_there();
    follows_no_link();
    leaves_what_is_too_deep();
    CHECK(rmdir(base) == 0);
    return 0;
}
