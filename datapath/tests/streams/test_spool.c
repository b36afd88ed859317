/* Spooling: every pair of descriptors, and each way to fail by its name, without a signal. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "streams/quiet.h"
#include "streams/spool.h"

static const char TEXT[] = "some text";

static int file_of(const char *data, size_t len)
{
    int fd = memfd_create("test", 0);

    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static int pipe_of(const char *data, size_t len)
{
    int ends[2];

    CHECK(pipe(ends) == 0 && write(ends[1], data, len) == (ssize_t)len);
    close(ends[1]);
    return ends[0];
}

static int socket_of(const char *data, size_t len)
{
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[1], data, len) == (ssize_t)len);
    close(ends[1]);
    return ends[0];
}

static int (*const SOURCES[])(const char *, size_t) = {file_of, pipe_of, socket_of};

static int holds_text(int fd)
{
    char got[64];

    return pread(fd, got, sizeof got, 0) == sizeof TEXT && memcmp(got, TEXT, sizeof TEXT) == 0;
}

static void any_source_goes_into_any_destination(void)
{
    for (size_t i = 0; i < 3; i++)
        for (int append = 0; append < 2; append++) {
            int source = SOURCES[i](TEXT, sizeof TEXT);
            int out = file_of("", 0);
            uint64_t moved;

            CHECK(fcntl(out, F_SETFL, append ? O_APPEND : 0) == 0);
            CHECK(spool_move(source, out, &moved) == SPOOL_DONE && moved == sizeof TEXT);
            CHECK(holds_text(out));
            close(source);
            close(out);
        }
}

static void tee_gives_both_all_and_saves_when_the_other_reader_has_gone(void)
{
    for (size_t i = 0; i < 3; i++)
        for (int gone = 0; gone < 2; gone++) {
            int source = SOURCES[i](TEXT, sizeof TEXT);
            int out = file_of("", 0), ends[2];
            char got[64];
            uint64_t moved;

            CHECK(pipe(ends) == 0);
            if (gone)
                close(ends[0]);
            CHECK(spool_tee(source, out, ends[1], &moved) == SPOOL_DONE && moved == sizeof TEXT);
            CHECK(holds_text(out));
            CHECK(gone || (read(ends[0], got, sizeof got) == sizeof TEXT && memcmp(got, TEXT, sizeof TEXT) == 0));
            if (!gone)
                close(ends[0]);
            close(ends[1]);
            close(source);
            close(out);
        }
}

static void failures_have_their_own_names(void)
{
    for (size_t i = 0; i < 3; i++) {
        int source = SOURCES[i](TEXT, sizeof TEXT), full = open("/dev/full", O_WRONLY);
        uint64_t moved;

        CHECK(spool_move(source, full, &moved) == SPOOL_FULL && errno == ENOSPC && moved == 0);
        CHECK(spool_move(-1, full, &moved) == SPOOL_ERROR && errno == EBADF);
        close(source);
        close(full);
    }
    CHECK(spool_result_of(EDQUOT) == SPOOL_QUOTA && spool_result_of(EFBIG) == SPOOL_QUOTA);
    CHECK(strcmp(spool_why(SPOOL_ERROR, EIO), strerror(EIO)) == 0);
    CHECK(strstr(spool_why(SPOOL_FULL, ENOSPC), "no space left") && strstr(spool_why(SPOOL_QUOTA, EFBIG), "larger"));
}

/* SIGXFSZ has its deadly default here. */
static void the_file_size_limit_is_a_quota_and_no_signal(void)
{
    struct rlimit before, five;
    uint64_t moved;

    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    five = (struct rlimit){5, before.rlim_max};
    for (size_t i = 0; i < 3; i++) {
        char path[] = "/tmp/test_spool.XXXXXX";
        int source = SOURCES[i](TEXT, sizeof TEXT), out = mkstemp(path);

        CHECK(out >= 0 && unlink(path) == 0 && setrlimit(RLIMIT_FSIZE, &five) == 0);
        CHECK(spool_move(source, out, &moved) == SPOOL_QUOTA && errno == EFBIG);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK(lseek(out, 0, SEEK_END) == 5);
        close(source);
        close(out);
    }
}

static void quiet_takes_back_its_own_signals_and_no_others(void)
{
    struct quiet quiet;
    sigset_t pipe_only, pending, before;
    int ends[2];

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    CHECK(pipe(ends) == 0 && close(ends[0]) == 0);
    CHECK(sigprocmask(SIG_BLOCK, &pipe_only, &before) == 0);
    for (int ours = 1; ours >= 0; ours--) { /* first ours alone, then one that the caller had waiting */
        if (!ours)
            CHECK(raise(SIGPIPE) == 0);
        quiet_begin(&quiet);
        CHECK(write(ends[1], "x", 1) == -1 && errno == EPIPE);
        quiet_end(&quiet);
        CHECK(errno == EPIPE);
        CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == !ours);
    }
    signal(SIGPIPE, SIG_IGN); /* drops the one that waits */
    CHECK(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    close(ends[1]);
}

static void a_flush_says_when_it_could_not(void)
{
    int fd = file_of("", 0);

    CHECK(spool_syncfs(fd) == 0);
    close(fd);
    CHECK(spool_syncfs(-1) == -1 && errno == EBADF);
}

int main(void)
{
    any_source_goes_into_any_destination();
    tee_gives_both_all_and_saves_when_the_other_reader_has_gone();
    failures_have_their_own_names();
    the_file_size_limit_is_a_quota_and_no_signal();
    quiet_takes_back_its_own_signals_and_no_others();
    a_flush_says_when_it_could_not();
    return 0;
}
