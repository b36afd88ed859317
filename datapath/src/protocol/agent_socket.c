#include "protocol/agent_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int try_connect(const struct sockaddr_un *address)
{
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (sock >= 0 && connect(sock, (const struct sockaddr *)address, sizeof *address) < 0) {
        int error = errno;
        close(sock);
        errno = error;
        return -1;
    }
    return sock;
}

/* Watch the directory of `path` for names that appear. */
static int watch_directory(const char *path)
{
    char directory[sizeof((struct sockaddr_un *)0)->sun_path];
    int watch = inotify_init1(IN_CLOEXEC);

    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (watch >= 0 && inotify_add_watch(watch, directory, IN_MOVED_TO) < 0) {
        int error = errno;
        close(watch);
        errno = error;
        return -1;
    }
    return watch;
}

/* Wait for a change. Returns 0, or -1 with errno. */
static int wait_for_change(int watch, int64_t deadline)
{
    struct pollfd events = {.fd = watch, .events = POLLIN};
    char buffer[4096];
    int64_t left = deadline - now_ms();
    int ready = poll(&events, 1, left > 0 ? (int)left : 0);

    if (ready == 0)
        errno = ETIMEDOUT;
    if (ready <= 0)
        return ready < 0 && errno == EINTR ? 0 : -1;
    return read(watch, buffer, sizeof buffer) < 0 ? -1 : 0;
}

int agent_connect(const char *path, int patience_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t deadline = now_ms() + patience_ms;
    int sock;

    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path) {
        errno = EINVAL;
        return -1;
    }
    strcpy(address.sun_path, path);
    int watch = watch_directory(path);
    if (watch < 0)
        return -1;
    while ((sock = try_connect(&address)) < 0)
        if ((errno != ENOENT && errno != ECONNREFUSED) || wait_for_change(watch, deadline) < 0)
            break;
    int error = errno;
    close(watch);
    errno = error;
    return sock;
}
