/* Feeding: sources in order, ends told apart, no signal, and a way to stop. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "streams/feed.h"

enum { LARGE = 3 * 1024 * 1024 };

static char large[LARGE];
static int ends[2];

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("test", 0);

    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    return fd;
}

static void open_pipe(int size)
{
    CHECK(feed_pipe(ends, size) >= 4096);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* What is in the pipe now. */
static size_t drain(char *into, size_t cap)
{
    ssize_t got;

    close(ends[1]);
    size_t used = 0;
    while ((got = read(ends[0], into + used, cap - used)) > 0)
        used += (size_t)got;
    close(ends[0]);
    return used;
}

static void the_pipe_is_as_large_as_allowed_and_only_its_writing_end_does_not_block(void)
{
    int fds[2];
    int size = feed_pipe(fds, 1024 * 1024);

    CHECK(size == fcntl(fds[0], F_GETPIPE_SZ) && size >= 4096);
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK) && fcntl(fds[1], F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC && fcntl(fds[1], F_GETFD) == FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
}

/* Where sources begin that are fed whole. */
static const uint64_t whole[4];

static void sources_of_all_kinds_go_in_whole_and_in_order(void)
{
    int sockets[2], pipes[2];
    size_t index = 0;
    off_t offset = 2;
    char got[9000];

    open_pipe(1024 * 1024);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0 && pipe(pipes) == 0);
    CHECK(write(sockets[1], "socket", 6) == 6 && write(pipes[1], large, 2000) == 2000);
    const int srcs[] = {file_of("..file", 6), sockets[0], pipes[0], file_of(large, 5000)};
    const uint64_t sizes[] = {6, 6, 2000, 5000};
    CHECK(feed_many(srcs, whole, sizes, 4, ends[1], -1, &index, &offset) == FEED_DONE);
    CHECK(index == 4 && offset == 0);
    CHECK(drain(got, sizeof got) == 4 + 6 + 7000);
    CHECK(memcmp(got, "filesocket", 10) == 0 && memcmp(got + 10, large, 2000) == 0);
    CHECK(memcmp(got + 2010, large, 5000) == 0);
    for (size_t i = 0; i < 4; i++)
        close(srcs[i]);
    close(sockets[1]);
    close(pipes[1]);
}

static void ranges_of_files_go_in_from_their_starts_to_their_ends(void)
{
    size_t index = 0;
    off_t offset = 3;
    char got[9000];
    const int srcs[] = {file_of("0123456789", 10), file_of("abc", 3), file_of(large, 5000), file_of("xyz", 3)};
    const uint64_t starts[] = {3, 1, 100, 2}, upto[] = {5, 1, 4900, 3};

    open_pipe(1024 * 1024);
    CHECK(feed_many(srcs, starts, upto, 4, ends[1], -1, &index, &offset) == FEED_DONE);
    CHECK(index == 4 && offset == 0);
    CHECK(drain(got, sizeof got) == 2 + 4800 + 1);
    CHECK(memcmp(got, "34", 2) == 0 && memcmp(got + 2, large + 100, 4800) == 0 && got[4802] == 'z');
    for (size_t i = 0; i < 4; i++)
        close(srcs[i]);
}

static void a_source_that_ends_early_is_named_with_its_offset(void)
{
    static const uint64_t wanted[] = {20, 60000}; /* one that is gathered, one that is spliced */
    static const size_t have[] = {7, 50000};
    char got[60000];

    for (size_t i = 0; i < 2; i++) {
        size_t index = 0;
        off_t offset = 0;
        const int srcs[] = {file_of("ab", 2), file_of(large, have[i])};
        const uint64_t sizes[] = {2, wanted[i]};

        open_pipe(1024 * 1024);
        CHECK(feed_many(srcs, whole, sizes, 2, ends[1], -1, &index, &offset) == FEED_EOF);
        CHECK(index == 1 && offset == (off_t)have[i]);
        CHECK(drain(got, sizeof got) == 2 + have[i]);
        close(srcs[0]);
        close(srcs[1]);
    }
}

static void a_source_that_cannot_be_read_is_an_error_with_its_reason(void)
{
    size_t index = 0;
    off_t offset = 0;
    const int srcs[] = {file_of("ab", 2), open("/", O_RDONLY | O_DIRECTORY)};
    static const uint64_t small[] = {2, 2}, spliced[] = {2, 5000};
    char got[8];

    open_pipe(1024 * 1024);
    CHECK(feed_many(srcs, whole, small, 2, ends[1], -1, &index, &offset) == FEED_ERROR && errno == EISDIR &&
          index == 1);
    CHECK(feed_many(srcs, whole, spliced, 2, ends[1], -1, &index, &offset) == FEED_ERROR && errno == EISDIR &&
          index == 1);
    CHECK(drain(got, sizeof got) == 2 && memcmp(got, "ab", 2) == 0);
    close(srcs[0]);
    close(srcs[1]);
}

/* SIGPIPE has its deadly default here. */
static void a_reader_that_has_gone_is_closed_and_no_signal(void)
{
    int source = file_of(large, 10000);
    static const uint64_t sizes[] = {10, 10000};

    open_pipe(4096);
    close(ends[0]);
    for (size_t i = 0; i < 2; i++) {
        size_t index = 0;
        off_t offset = 0;

        CHECK(feed_many(&source, whole, &sizes[i], 1, ends[1], -1, &index, &offset) == FEED_CLOSED);
        CHECK(feed_splice(source, ends[1], &offset, sizes[i], -1) == FEED_CLOSED);
    }
    close(ends[1]);
    close(source);
}

static void a_full_pipe_can_be_left(void)
{
    int source = file_of(large, LARGE), stop = eventfd(1, EFD_CLOEXEC);
    size_t index = 0;
    off_t offset = 0;
    uint64_t size = LARGE;

    open_pipe(4096);
    CHECK(feed_many(&source, whole, &size, 1, ends[1], stop, &index, &offset) == FEED_STOPPED);
    CHECK(index == 0 && offset == 4096);
    close_pipe();
    close(source);
    close(stop);
}

static void a_silent_socket_can_be_left(void)
{
    int sockets[2], stop = eventfd(1, EFD_CLOEXEC);
    static const uint64_t sizes[] = {10, 10000};

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    open_pipe(4096);
    for (size_t i = 0; i < 2; i++) {
        size_t index = 0;
        off_t offset = 0;

        CHECK(feed_many(sockets, whole, &sizes[i], 1, ends[1], stop, &index, &offset) == FEED_STOPPED);
    }
    close_pipe();
    close(sockets[0]);
    close(sockets[1]);
    close(stop);
}

static void a_socket_says_itself_how_long_it_may_be_silent(void)
{
    int sockets[2];
    static const uint64_t sizes[] = {10, 10000};
    static const struct timeval patience = {.tv_usec = 20000};

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    open_pipe(65536);
    for (size_t i = 0; i < 2; i++) {
        size_t index = 0;
        off_t offset = 0;

        CHECK(write(sockets[1], "some", 4) == 4);
        CHECK(feed_many(sockets, whole, &sizes[i], 1, ends[1], -1, &index, &offset) == FEED_ERROR &&
              errno == ETIMEDOUT);
        CHECK(index == 0 && offset == 4);
    }
    close_pipe();
    close(sockets[0]);
    close(sockets[1]);
}

static void *read_all(void *into)
{
    size_t used = 0;
    ssize_t got;

    while ((got = read(ends[0], (char *)into + used, LARGE - used)) > 0)
        used += (size_t)got;
    return NULL;
}

static void a_full_pipe_is_waited_for(void)
{
    int source = file_of(large, LARGE);
    char *got = malloc(LARGE);
    pthread_t reader;
    off_t offset = 1;

    CHECK(got);
    open_pipe(4096);
    CHECK(pthread_create(&reader, NULL, read_all, got) == 0);
    CHECK(feed_splice(source, ends[1], &offset, LARGE, -1) == FEED_EOF && offset == LARGE);
    close(ends[1]);
    pthread_join(reader, NULL);
    CHECK(memcmp(got, large + 1, LARGE - 1) == 0);
    close(ends[0]);
    close(source);
    free(got);
}

int main(void)
{
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 2654435761u >> 11);
    the_pipe_is_as_large_as_allowed_and_only_its_writing_end_does_not_block();
    sources_of_all_kinds_go_in_whole_and_in_order();
    ranges_of_files_go_in_from_their_starts_to_their_ends();
    a_source_that_ends_early_is_named_with_its_offset();
    a_source_that_cannot_be_read_is_an_error_with_its_reason();
    a_reader_that_has_gone_is_closed_and_no_signal();
    a_full_pipe_can_be_left();
    a_silent_socket_can_be_left();
    a_socket_says_itself_how_long_it_may_be_silent();
    a_full_pipe_is_waited_for();
    return 0;
}
