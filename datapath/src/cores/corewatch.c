#include "cores/corewatch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cores/corefile.h"

_Static_assert((int)COREWATCH_PROGRAM >= (int)COREFILE_PROGRAM, "a program's name fits");

enum { EVENT_BYTES = 16 * 1024 };

static int named_core(const struct corewatch *watch, const char *name)
{
    return strncmp(name, watch->prefix, strlen(watch->prefix)) == 0;
}

/* Write `directory/name` to `path`; 0 if it is too long. */
static int join(char path[COREWATCH_PATH], const char *directory, const char *name)
{
    const char *slash = strcmp(directory, "/") == 0 ? "" : "/";

    return snprintf(path, COREWATCH_PATH, "%s%s%s", directory, slash, name) < COREWATCH_PATH;
}

static void look_at(const struct corewatch *watch, const char *path, struct corewatch_found *found, int *hit)
{
    char program[COREFILE_PROGRAM];

    if (!corefile_read(watch->root, path + 1, program))
        return;
    strcpy(found->path, path);
    strcpy(found->program, program);
    *hit = 1;
}

static int find(const struct corewatch *watch, int id)
{
    for (int i = 0; i < watch->count; i++)
        if (watch->places[i].id == id)
            return i;
    return -1;
}

static int add(struct corewatch *watch, const char *path)
{
    int id, i = find(watch, 0);

    if (i < 0 && watch->count == COREWATCH_MAX)
        return -1;
    id = inotify_add_watch(watch->fd, path, IN_CREATE | IN_CLOSE_WRITE | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (id < 0 || find(watch, id) >= 0)
        return -1;
    if (i < 0)
        i = watch->count++;
    watch->places[i].id = id;
    strcpy(watch->places[i].path, path);
    return 0;
}

/* Add a directory that a task made. Its files from before the watch have to be looked up. */
static void add_new(struct corewatch *watch, const char *path, struct corewatch_found *found, int *hit)
{
    char below[COREWATCH_PATH];
    struct dirent *entry;

    if (add(watch, path) < 0)
        return;
    DIR *directory = opendir(path);
    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || !join(below, path, entry->d_name))
            continue;
        if (entry->d_type == DT_DIR)
            add_new(watch, below, found, hit);
        else if (named_core(watch, entry->d_name))
            look_at(watch, below, found, hit);
    }
    closedir(directory);
}

static void handle(struct corewatch *watch, const struct inotify_event *event, struct corewatch_found *found, int *hit)
{
    char path[COREWATCH_PATH];
    int place = find(watch, event->wd);

    if (place < 0)
        return;
    if (event->mask & IN_IGNORED) {
        watch->places[place].id = 0;
        return;
    }
    if (event->len == 0 || !join(path, watch->places[place].path, event->name))
        return;
    if (event->mask & IN_ISDIR && event->mask & IN_CREATE)
        add_new(watch, path, found, hit);
    else if (event->mask & IN_CLOSE_WRITE && named_core(watch, event->name))
        look_at(watch, path, found, hit);
}

/* Make a directory and those above it, writable for all processes that may dump. */
static int make_directories(const char *path)
{
    char part[COREWATCH_PATH];

    for (const char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", end ? (int)(end - path) : (int)strlen(path), path);
        if (mkdir(part, 0755) < 0) {
            if (errno != EEXIST)
                return -1;
        } else if (!end && chmod(part, 01777) < 0) {
            return -1;
        }
        if (!end)
            return 0;
    }
}

/* Watch the directory of a pattern that is a path. It is unknown beforehand if it varies with the process. */
static int watch_directory(struct corewatch *watch, const char *pattern, size_t length)
{
    char directory[COREWATCH_PATH];

    if (length >= sizeof directory || memchr(pattern, '%', length))
        return -1;
    snprintf(directory, sizeof directory, "%.*s", length ? (int)length : 1, pattern);
    if (length && make_directories(directory) < 0)
        return -1;
    return add(watch, directory);
}

/* Set the prefix of core files: the part of the pattern's name that is the same for all processes. */
static void set_prefix(struct corewatch *watch, const char *name)
{
    size_t length = strcspn(name, "%\n");

    if (length >= sizeof watch->prefix)
        length = sizeof watch->prefix - 1;
    memcpy(watch->prefix, name, length);
    watch->prefix[length] = '\0';
}

int corewatch_tells(const struct corewatch *watch, int status)
{
    static const int dumping[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : WIFEXITED(status) ? WEXITSTATUS(status) - 128 : 0;

    for (size_t i = 0; i < sizeof dumping / sizeof *dumping; i++)
        if (watch->elsewhere && signal == dumping[i])
            return 1;
    return 0;
}

void corewatch_pattern(char pattern[COREWATCH_PATTERN])
{
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, pattern, COREWATCH_PATTERN - 1);

    if (fd >= 0)
        close(fd);
    if (got > 0)
        pattern[got - (pattern[got - 1] == '\n')] = '\0';
    else
        strcpy(pattern, "core");
}

int corewatch_open(struct corewatch *watch, const char *const *places, const char *pattern, int own)
{
    const char *slash = strrchr(pattern, '/');
    int absolute = pattern[0] == '/';

    watch->count = 0;
    watch->elsewhere = pattern[0] == '|' || pattern[0] == '@';
    set_prefix(watch, slash ? slash + 1 : pattern);
    watch->fd = -1;
    watch->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (watch->root < 0)
        return -1;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return -1;
    for (; *places && !absolute && !watch->elsewhere; places++)
        add(watch, *places);
    if (absolute && (!own || watch_directory(watch, pattern, (size_t)(slash - pattern)) < 0))
        watch->elsewhere = 1;
    return 0;
}

/* Read one batch of events; 0 when there was none. */
static int check_some(struct corewatch *watch, struct corewatch_found *found, int *hit)
{
    char events[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t got = read(watch->fd, events, sizeof events);

    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const struct inotify_event *)(events + at);
        handle(watch, event, found, hit);
        at += (ssize_t)(sizeof *event + event->len);
    }
    return got > 0;
}

int corewatch_check(struct corewatch *watch, int all, struct corewatch_found *found)
{
    int hit = 0;

    if (watch->fd < 0)
        return 0;
    while (check_some(watch, found, &hit) && all)
        ;
    return hit;
}
