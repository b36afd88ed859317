/* A core file that a task forged, and its notes alone: a name is found or not, inside the bounds. */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"
#include "cores/corefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-corefile-XXXXXX";
static int directory = -1, file;

static void remove_folder(void)
{
    unlinkat(directory, "core", 0);
    rmdir(folder);
}

static void make_folder(void)
{
    CHECK(mkdtemp(folder));
    directory = open(folder, O_PATH | O_DIRECTORY);
    file = openat(directory, "core", O_CREAT | O_WRONLY, 0600);
    CHECK(directory >= 0 && file >= 0 && atexit(remove_folder) == 0);
}

static int lowest_free(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[COREFILE_PROGRAM];

    if (directory < 0)
        make_folder();
    memset(program, 'x', sizeof program);
    corefile_parse(data, size, program);
    CHECK(strnlen(program, sizeof program) < sizeof program);

    int before = lowest_free();
    memset(program, 'x', sizeof program);
    CHECK(pwrite(file, data, size, 0) == (ssize_t)size && ftruncate(file, (off_t)size) == 0);
    if (corefile_read(directory, "core", program))
        CHECK(strnlen(program, sizeof program) < sizeof program);
    CHECK(lowest_free() == before);
    return 0;
}
