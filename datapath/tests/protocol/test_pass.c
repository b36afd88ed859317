#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "protocol/pass.h"

static int pair[2];
static const struct pass_header header = {.type = PASS_RUN, .flags = 7, .task = 1ull << 40};

static void a_packet_arrives_whole_with_its_descriptors(void)
{
    struct pass_header got;
    char payload[64];
    int ends[2], fds[3];
    size_t nfds = 3;

    CHECK(pipe(ends) == 0);
    CHECK(pass_send(pair[0], &header, "hello", 5, ends, 2) == 0);
    CHECK(pass_recv(pair[1], &got, payload, sizeof payload, fds, &nfds) == 5);
    CHECK(memcmp(payload, "hello", 5) == 0 && memcmp(&got, &header, sizeof got) == 0);
    CHECK(nfds == 2 && fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    CHECK(write(fds[1], "x", 1) == 1 && read(ends[0], payload, 1) == 1);
    close(fds[0]);
    close(fds[1]);
    close(ends[0]);
    close(ends[1]);
}

static void descriptors_beyond_room_are_refused_and_closed(void)
{
    struct pass_header got;
    char payload[8];
    int fds[1], sent[2] = {0, 0};
    size_t nfds = 1;
    int free_before = dup(0);

    close(free_before);
    CHECK(pass_send(pair[0], &header, NULL, 0, sent, 2) == 0);
    CHECK(pass_recv(pair[1], &got, payload, sizeof payload, fds, &nfds) == -1 && errno == EBADMSG && nfds == 0);
    int free_after = dup(0);
    CHECK(free_after == free_before);
    close(free_after);
}

static void sizes_are_bounded_on_both_sides(void)
{
    static char large[PASS_MAX];
    struct pass_header got;
    int fds[1];
    size_t nfds = 1;

    CHECK(pass_send(pair[0], &header, large, PASS_MAX, NULL, 0) == -1 && errno == EMSGSIZE);
    CHECK(pass_send(pair[0], &header, large, 100000, NULL, 0) == 0);
    CHECK(pass_recv(pair[1], &got, large, sizeof large, fds, &nfds) == 100000);
    CHECK(pass_send(pair[0], &header, large, 9, NULL, 0) == 0);
    CHECK(pass_recv(pair[1], &got, large, 8, fds, &nfds) == -1 && errno == EBADMSG);
}

static void an_empty_socket_says_again_and_a_closed_one_says_so(void)
{
    struct pass_header got;
    char payload[8];
    int fds[1];
    size_t nfds = 1;

    CHECK(pass_recv(pair[1], &got, payload, sizeof payload, fds, &nfds) == -1 && errno == EAGAIN);
    close(pair[0]);
    CHECK(pass_recv(pair[1], &got, payload, sizeof payload, fds, &nfds) == -1 && errno == ENOTCONN);
    CHECK(pass_send(pair[1], &header, NULL, 0, NULL, 0) == -1 && errno == EPIPE);
    close(pair[1]);
}

int main(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    a_packet_arrives_whole_with_its_descriptors();
    descriptors_beyond_room_are_refused_and_closed();
    sizes_are_bounded_on_both_sides();
    an_empty_socket_says_again_and_a_closed_one_says_so();
    return 0;
}
