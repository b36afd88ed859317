#include "protocol/handed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "protocol/pass.h"

enum { NAME_MAX_BYTES = 4096 };

int handed_next(int sock, struct handed *handed)
{
    struct pass_header header;
    char name[NAME_MAX_BYTES];
    size_t nfds = 1;
    ssize_t len = pass_recv(sock, &header, name, sizeof name, &handed->fd, &nfds);

    if (len < 0)
        return errno == ENOTCONN ? 0 : -1;
    if (header.type != PASS_FILE || nfds != 1) {
        if (nfds == 1)
            close(handed->fd);
        errno = EBADMSG;
        return -1;
    }
    handed->dictionary = header.flags;
    handed->name = strndup(name, (size_t)len);
    return handed->name ? 1 : -1;
}
