/*
 * relay - the task's end of an interactive session: a WebSocket on one side, a terminal on the other.
 *
 * A loop of one thread. It holds 64 KiB of what has come and 16 KiB of what goes, and nothing
 * else: the socket is read only when the terminal has taken what came before, and the terminal
 * is read only when the socket has taken what was shown before. So either side makes the other
 * wait, and a program that floods its screen waits like one that writes into a full pipe.
 *
 *     phase      leaves it when                   then
 *     waiting    the order `start` has come       the program is started, `started` is sent
 *     running    the program has ended            its last output, then `exit` are sent
 *     over       the other end closes, or after RELAY_GRACE_MS
 *
 * `exit` has the program's status, as a shell counts it: {"type":"exit","status":0}.
 */
#ifndef REMORA_RELAY_H
#define REMORA_RELAY_H

#include <stddef.h>
#include <stdint.h>

enum { RELAY_GRACE_MS = 5000 };

enum relay_result {
    RELAY_CLOSED, /* the other end has closed, or the program has ended and was reported */
    RELAY_LOST,   /* the connection broke, with errno (0: it just ended) */
    RELAY_BROKEN, /* what came was no WebSocket */
    RELAY_STOPPED /* SIGTERM has come */
};

/*
 * relay_run - serve a session on a socket whose handshake is done, until it ends.
 *
 * `data` has come behind the handshake: `len` bytes, at most DIAL_HEAD_MAX. The program has
 * lost its terminal when this returns. All children of the caller are waited for meanwhile.
 */
enum relay_result relay_run(int sock, const uint8_t *data, size_t len);

#endif
