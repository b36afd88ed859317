/* launcher - see launcher.h. */
#include "protocol/launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum end { END_DONE, END_LOST };

static const char NAME[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
static const char NUMBER[] = "0123456789";

/* A variable that must have a value of these characters, so that it needs no quoting. */
static const char *variable(const char *name, const char *allowed)
{
    const char *value = getenv(name);

    if (value == NULL || *value == '\0' || value[strspn(value, allowed)] != '\0') {
        fprintf(stderr, "launcher: %s is missing or of no use\n", name);
        exit(2);
    }
    return value;
}

static size_t introduction(char *line, size_t size)
{
    int n =
        snprintf(line, size, "{\"alloc\":\"%s\",\"pool\":%s,\"instances\":\"%s\",\"memory_mb\":%s,\"disk_gb\":%s}\n",
                 variable("REMORA_ALLOC", NAME), variable("REMORA_POOL", NUMBER), variable("REMORA_INSTANCES", NAME),
                 variable("REMORA_MEMORY_MB", NUMBER), variable("REMORA_DISK_GB", NUMBER));

    if (n < 0 || (size_t)n >= size) {
        fputs("launcher: what the environment says is too long\n", stderr);
        exit(2);
    }
    return (size_t)n;
}

/* SIGTERM and SIGINT as a descriptor. */
static int open_signals(void)
{
    sigset_t wanted;
    int fd;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0 || (fd = signalfd(-1, &wanted, SFD_CLOEXEC)) < 0) {
        perror("launcher: signals");
        exit(1);
    }
    return fd;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool say(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
    return true;
}

/* Connect to the agent and introduce ourselves. Returns the connection, or -1 with errno set. */
static int call(const struct sockaddr_un *address, const char *line, size_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), problem;

    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 && say(fd, line, length))
        return fd;
    problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

/* Read the agent's messages; true while the connection lives. `heard` keeps their last bytes, `filled` of them. */
static bool listen_to(int fd, char *heard, size_t *filled)
{
    size_t room = sizeof LAUNCHER_DONE - 1;
    char c;
    ssize_t n;

    while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) == 1) {
        if (*filled == room)
            memmove(heard, heard + 1, --*filled);
        heard[(*filled)++] = c;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Stay connected until the agent closes; *leaving is set once it was told that we must end. */
static enum end stay(int fd, int signals, bool *leaving)
{
    struct pollfd watched[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    char heard[sizeof LAUNCHER_DONE];
    size_t filled = 0;

    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return END_LOST;
        if (watched[1].revents) {
            *leaving = true;
            watched[1].fd = -1;
            watched[1].revents = 0;
            say(fd, LAUNCHER_LEAVE, sizeof LAUNCHER_LEAVE - 1); /* on failure the close is there to be read */
        }
        if (watched[0].revents && !listen_to(fd, heard, &filled))
            return filled == sizeof LAUNCHER_DONE - 1 && memcmp(heard, LAUNCHER_DONE, filled) == 0 ? END_DONE
                                                                                                   : END_LOST;
    }
}

/* Wait for the pause, or until a signal comes: true then. */
static bool told_to_go(int signals)
{
    struct pollfd watched = {.fd = signals, .events = POLLIN};

    return poll(&watched, 1, LAUNCHER_PAUSE_MS) > 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[1024];
    bool leaving = false;

    if (argc != 2 || argv[1][0] == '\0' || strlen(argv[1]) >= sizeof address.sun_path) {
        fputs("usage: launcher SOCKET\n", stderr);
        return 2;
    }
    memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
    size_t length = introduction(line, sizeof line);
    int signals = open_signals();
    double lost = seconds();

    while (!leaving && seconds() - lost < LAUNCHER_PATIENCE) {
        int fd = call(&address, line, length);

        if (fd >= 0) {
            enum end end = stay(fd, signals, &leaving);

            close(fd);
            if (end == END_DONE)
                return 0;
            lost = seconds();
        }
        leaving = leaving || told_to_go(signals);
    }
    if (!leaving)
        fprintf(stderr, "launcher: no agent at %s\n", argv[1]);
    return 1;
}
