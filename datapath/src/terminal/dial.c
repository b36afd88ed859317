#include "terminal/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_PORT = 80, REQUEST_MAX = 8192, ADDRESS_MAX = 64 };

static const char SCHEME[] = "http://";

/* Parse a URL into an address. Returns 0, or -1 with errno EINVAL. */
static int parse(const char *url, struct sockaddr_in *address)
{
    char host[ADDRESS_MAX];
    size_t len;
    long port = HTTP_PORT;

    errno = EINVAL;
    if (strncmp(url, SCHEME, sizeof SCHEME - 1) != 0)
        return -1;
    url += sizeof SCHEME - 1;
    len = strcspn(url, ":/");
    if (len >= sizeof host)
        return -1;
    memcpy(host, url, len);
    host[len] = '\0';
    if (url[len] == ':')
        port = strtol(url + len + 1, NULL, 10);
    if (port <= 0 || port > 0xffff)
        return -1;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address->sin_addr) == 1 ? 0 : -1;
}

int dial(const char *url)
{
    struct sockaddr_in address;
    int fd, at_once = 1;

    if (parse(url, &address) < 0 || (fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
        return -1;
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == EINTR)
            continue;
        int problem = errno;
        close(fd);
        errno = problem;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once); /* slower without it, and no worse */
    return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* The status of a reply; 0 if it is none of HTTP. */
static int status_of(const struct dial_reply *reply)
{
    static const char version[] = "HTTP/1.1 ";
    const uint8_t *at = reply->data + sizeof version - 1;
    int status = 0;

    if (reply->head < sizeof version + 3 || memcmp(reply->data, version, sizeof version - 1) != 0)
        return 0;
    for (int i = 0; i < 3 && at[i] >= '0' && at[i] <= '9'; i++)
        status = status * 10 + (at[i] - '0');
    return status;
}

int dial_ask(int fd, const char *method, const char *path, const char *headers, struct dial_reply *reply)
{
    char request[REQUEST_MAX];
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path, headers);
    const uint8_t *end = NULL;

    if (len < 0 || (size_t)len >= sizeof request) {
        errno = EMSGSIZE;
        return -1;
    }
    if (send_all(fd, request, (size_t)len) < 0)
        return -1;
    for (reply->have = 0; !end; end = memmem(reply->data, reply->have, "\r\n\r\n", 4)) {
        ssize_t n = read(fd, reply->data + reply->have, sizeof reply->data - reply->have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EPROTO : errno;
            return -1;
        }
        reply->have += (size_t)n;
    }
    reply->head = (size_t)(end - reply->data) + 4;
    reply->status = status_of(reply);
    return 0;
}
