/* A packet with any bytes and any number of descriptors: taken whole or refused, and nothing leaks. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "protocol/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAYLOAD = 512, DESCRIPTORS = 2 };

static int lowest_free(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void send_raw(int sock, const uint8_t *data, size_t size, size_t nfds)
{
    int fds[8] = {0};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control = {0};
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (nfds) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    CHECK(sendmsg(sock, &message, 0) == (ssize_t)size);
}

static void parse(const char *payload, size_t len)
{
    struct pass_open open;
    const char *name, *headers;

    if (pass_parse_open(payload, len, &open, &name, &headers))
        return;
    CHECK(name == payload + sizeof open && headers == name + open.name_len);
    CHECK(headers + open.headers_len == payload + len);
    CHECK(memchr(name, '\0', open.name_len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pass_header header;
    char payload[PAYLOAD];
    int pair[2], fds[DESCRIPTORS];
    size_t nfds = DESCRIPTORS, sent_fds = size ? data[0] % 5 : 0;
    int before = lowest_free();

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    send_raw(pair[0], data, size, sent_fds);
    ssize_t len = pass_recv(pair[1], &header, payload, sizeof payload, fds, &nfds);
    int fits = size >= sizeof header && size <= sizeof header + PAYLOAD && sent_fds <= DESCRIPTORS;
    CHECK(fits == (len >= 0));
    CHECK(nfds == (fits ? sent_fds : 0));
    for (size_t i = 0; i < nfds; i++)
        close(fds[i]);
    if (len >= 0)
        parse(payload, (size_t)len);
    if (size)
        parse((const char *)data, size);
    close(pair[0]);
    close(pair[1]);
    CHECK(lowest_free() == before);
    return 0;
}
