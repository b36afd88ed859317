#include "cores/dumping.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_BYTES = 4096, PAUSE_MS = 2 };

static int is_dumping(const char *process)
{
    char path[64], text[STATUS_BYTES];

    snprintf(path, sizeof path, "/proc/%.20s/status", process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* the process has ended meanwhile */
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return strstr(text, "\nCoreDumping:\t1") != NULL;
}

static int something_dumps(void)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    int found = 0;

    if (!processes)
        return 0;
    while (!found && (entry = readdir(processes)))
        found = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_dumping(entry->d_name);
    closedir(processes);
    return found;
}

static long long milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void dumping_wait(int seconds)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    long long end = milliseconds() + seconds * 1000LL;

    while (something_dumps() && milliseconds() < end)
        nanosleep(&pause, NULL);
}
