#include "protocol/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Space for the descriptors of one packet, aligned as the kernel requires. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * PASS_MAX_FDS)];
};

static void attach(struct msghdr *message, union control *control, const int *fds, size_t nfds)
{
    size_t size = sizeof(int) * nfds;

    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
}

int pass_send(int sock, const struct pass_header *header, const void *payload, size_t len, const int *fds, size_t nfds)
{
    struct iovec parts[2] = {{(void *)header, sizeof *header}, {(void *)payload, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = len ? 2 : 1};
    union control control;

    if (len > PASS_MAX - sizeof *header || nfds > PASS_MAX_FDS) {
        errno = EMSGSIZE;
        return -1;
    }
    if (nfds)
        attach(&message, &control, fds, nfds);
    for (;;) {
        if (sendmsg(sock, &message, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

/* Move the packet's descriptors to `fds`; those without room there are closed. Returns the number received. */
static size_t detach(struct msghdr *message, int *fds, size_t room)
{
    size_t came = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, came++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (came < room)
                fds[came] = fd;
            else
                close(fd);
        }
    }
    return came;
}

/* Reject a packet: close all its descriptors. */
static ssize_t refuse(int why, const int *fds, size_t came, size_t room)
{
    for (size_t i = 0; i < came && i < room; i++)
        close(fds[i]);
    errno = why;
    return -1;
}

ssize_t pass_recv(int sock, struct pass_header *header, void *payload, size_t cap, int *fds, size_t *nfds)
{
    union control control;
    struct iovec parts[2] = {{header, sizeof *header}, {payload, cap}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    size_t room = *nfds;
    ssize_t got;

    *nfds = 0;
    do {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        got = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == ECONNRESET) /* the other end closed without reading all that we sent */
            errno = ENOTCONN;
        return -1;
    }
    size_t came = detach(&message, fds, room);
    if (got == 0)
        return refuse(ENOTCONN, fds, came, room);
    if ((size_t)got < sizeof *header || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || came > room)
        return refuse(EBADMSG, fds, came, room);
    *nfds = came;
    return got - (ssize_t)sizeof *header;
}

static const char *open_is_wrong(const struct pass_open *open, size_t rest)
{
    if ((uint64_t)open->name_len + open->headers_len != rest)
        return "lengths of name and headers do not fill the request";
    if (open->kind < PASS_PIPE || open->kind > PASS_SPLIT)
        return "unknown kind of output";
    if (open->flags & ~(uint32_t)PASS_PARENTS)
        return "unknown flags";
    if (open->reducer < -1)
        return "negative reducer";
    if (open->kind == PASS_SPLIT && (open->count < 1 || open->count > PASS_MAX_FDS))
        return "number of reducers is out of range";
    return NULL;
}

const char *pass_parse_open(const void *payload, size_t len, struct pass_open *open, const char **name,
                            const char **headers)
{
    const char *text = (const char *)payload + sizeof *open;

    if (len < sizeof *open)
        return "request is too short";
    memcpy(open, payload, sizeof *open);
    const char *wrong = open_is_wrong(open, len - sizeof *open);
    if (wrong)
        return wrong;
    if (memchr(text, '\0', len - sizeof *open))
        return "name or headers hold a NUL byte";
    *name = text;
    *headers = text + open->name_len;
    return NULL;
}
