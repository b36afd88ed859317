#include "terminal/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "terminal/frames.h"
#include "terminal/pty.h"

enum {
    IN_ROOM = 64 * 1024,
    SHOWN_MAX = 16 * 1024, /* of output in one frame */
    SAID_MAX = 256,        /* of a message of ours */
    REST_MAX = 128 * 1024, /* of output after the program's end: more than a terminal holds */
    HUNG_MS = 100,         /* between two looks at a terminal that nothing has open */
    SPARE = 8 * (FRAME_HEADER_MAX + SAID_MAX),
    OUT_ROOM = FRAME_HEADER_MAX + SHOWN_MAX + SPARE
};

enum phase { WAITING, RUNNING, OVER };

struct relay {
    int sock;
    int signals; /* SIGCHLD and SIGTERM as a descriptor */
    enum phase phase;
    struct pty pty;
    int held; /* the terminal takes no more keys now */
    int hung; /* nothing has the terminal open now */
    int closed;

    uint8_t in[IN_ROOM];
    size_t at, have; /* in[at..have] has come and is not parsed */
    struct frame_in frame;
    size_t control_len, text_len; /* of what is being put together */
    char control[FRAME_CONTROL_MAX];
    char text[ORDER_MAX];
    struct order order;

    uint8_t out[OUT_ROOM];
    size_t sent, filled; /* out[sent..filled] has to be sent */
};

/* ---- what goes ---- */

static size_t room(const struct relay *relay)
{
    return sizeof relay->out - relay->filled;
}

/* Where the payload of the next frame is to be put. */
static uint8_t *next_payload(struct relay *relay)
{
    return relay->out + relay->filled + FRAME_HEADER_MAX;
}

/* Add a frame whose payload is in its place. */
static void add_frame(struct relay *relay, enum frame_kind kind, size_t len)
{
    uint8_t *payload = next_payload(relay);
    uint32_t mask = 0;

    /* The mask hides nothing here; zero is as good where there is no randomness. */
    if (getrandom(&mask, sizeof mask, GRND_NONBLOCK) != sizeof mask)
        mask = 0;
    uint8_t *start = frame_seal(kind, payload, len, mask);
    size_t size = (size_t)(payload + len - start);
    memmove(relay->out + relay->filled, start, size);
    relay->filled += size;
}

static void say(struct relay *relay, const char *text)
{
    size_t len = strlen(text);

    memcpy(next_payload(relay), text, len);
    add_frame(relay, FRAME_TEXT, len);
}

static void say_number(struct relay *relay, const char *format, int number)
{
    char text[SAID_MAX];

    snprintf(text, sizeof text, format, number);
    say(relay, text);
}

/* Send what the socket takes. Returns 0, or -1 with errno. */
static int flush(struct relay *relay)
{
    while (relay->sent < relay->filled) {
        ssize_t n = send(relay->sock, relay->out + relay->sent, relay->filled - relay->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        relay->sent += (size_t)n;
    }
    relay->sent = relay->filled = 0;
    return 0;
}

/* ---- the program ---- */

static void start(struct relay *relay)
{
    if (pty_start(&relay->pty, &relay->order) == 0) {
        relay->phase = RUNNING;
        say_number(relay, "mlogin:{\"type\":\"started\",\"pid\":%d}", relay->pty.pid);
        return;
    }
    char text[SAID_MAX];

    relay->phase = OVER;
    snprintf(text, sizeof text, "mlogin:{\"type\":\"error\",\"error\":\"cannot start the command: %s\"}",
             strerror(errno));
    say(relay, text);
}

/* Add what the program has shown, as far as there is room. Returns the number of bytes. */
static size_t show(struct relay *relay)
{
    ssize_t n = read(relay->pty.master, next_payload(relay), SHOWN_MAX);

    if (n <= 0) /* EIO: nothing has the terminal open any more */
        return 0;
    add_frame(relay, FRAME_BINARY, (size_t)n);
    return (size_t)n;
}

/* Whether the terminal has something to show. Asking makes the kernel hand over what it still holds back. */
static int has_more(const struct relay *relay)
{
    struct pollfd terminal = {.fd = relay->pty.master, .events = POLLIN};

    return poll(&terminal, 1, 0) > 0 && (terminal.revents & POLLIN);
}

/* Whether the program has ended; its status, as a shell counts it, in *status. */
static int has_ended(struct relay *relay, int *status)
{
    int how, ended = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
        if (relay->phase == RUNNING && pid == relay->pty.pid) {
            *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
            ended = 1;
        }
    return ended;
}

/* ---- what comes ---- */

static void obey(struct relay *relay)
{
    if (relay->text_len > sizeof relay->text)
        return; /* it was longer, and is cut */
    enum order_kind kind = order_read(&relay->order, relay->text, relay->text_len);

    if (kind == ORDER_START && relay->phase == WAITING)
        start(relay);
    else if (kind == ORDER_RESIZE && relay->phase == RUNNING)
        pty_resize(&relay->pty, &relay->order); /* a screen of the wrong size is no reason to end */
}

static void end_frame(struct relay *relay)
{
    size_t len = relay->control_len;

    switch (relay->frame.kind) {
    case FRAME_TEXT:
        if (relay->frame.last) {
            obey(relay);
            relay->text_len = 0;
        }
        return;
    case FRAME_PING:
    case FRAME_CLOSE:
        memcpy(next_payload(relay), relay->control, len);
        add_frame(relay, relay->frame.kind == FRAME_PING ? FRAME_PONG : FRAME_CLOSE, len);
        relay->closed = relay->frame.kind == FRAME_CLOSE;
        break;
    default:
        break;
    }
    relay->control_len = 0;
}

/* Append to a buffer what fits; the length goes beyond the room if not all did. */
static void gather(char *buffer, size_t room_there, size_t *len, const uint8_t *data, size_t n)
{
    if (*len <= room_there && n <= room_there - *len)
        memcpy(buffer + *len, data, n);
    *len = *len > room_there || n > room_there - *len ? room_there + 1 : *len + n;
}

/* Take at most n bytes of a payload. Returns how many were taken; fewer if the terminal is full. */
static size_t take(struct relay *relay, const uint8_t *data, size_t n)
{
    if (relay->frame.kind == FRAME_TEXT)
        gather(relay->text, sizeof relay->text, &relay->text_len, data, n);
    else if (relay->frame.kind != FRAME_BINARY)
        gather(relay->control, sizeof relay->control, &relay->control_len, data, n);
    else if (relay->phase == RUNNING) {
        ssize_t taken = write(relay->pty.master, data, n);

        relay->held = taken < 0 && (errno == EAGAIN || errno == EINTR);
        return relay->held ? 0 : taken < 0 ? n : (size_t)taken; /* keys for a terminal that is gone are lost */
    }
    return n;
}

/* Parse what has come, as far as the terminal and the answers have room. Returns 0, or -1 if it is no WebSocket. */
static int digest(struct relay *relay)
{
    while (!relay->closed && room(relay) >= 2 * (FRAME_HEADER_MAX + SAID_MAX)) {
        size_t n = relay->have - relay->at;

        if (relay->frame.left == 0) {
            int header = frame_begin(&relay->frame, relay->in + relay->at, n);

            if (header <= 0)
                return header;
            relay->at += (size_t)header;
        } else if (n == 0) {
            return 0;
        } else {
            n = take(relay, relay->in + relay->at, n < relay->frame.left ? n : (size_t)relay->frame.left);
            if (n == 0)
                return 0;
            relay->at += n;
            relay->frame.left -= n;
        }
        if (relay->frame.left == 0)
            end_frame(relay);
    }
    return 0;
}

/* Read what the socket has. Returns 1, 0 at its end, or -1 with errno. */
static int hear(struct relay *relay)
{
    memmove(relay->in, relay->in + relay->at, relay->have - relay->at);
    relay->have -= relay->at;
    relay->at = 0;
    ssize_t n = recv(relay->sock, relay->in + relay->have, sizeof relay->in - relay->have, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    relay->have += (size_t)n;
    return n > 0;
}

/* ---- the loop ---- */

/* Take the signals that have come. Returns whether this process is to end. */
static int take_signals(const struct relay *relay)
{
    struct signalfd_siginfo each;
    int stopped = 0;

    while (read(relay->signals, &each, sizeof each) == sizeof each)
        stopped |= each.ssi_signo == SIGTERM;
    return stopped;
}

/*
 * Once the program has ended: its last output, then its status. What other processes print to its terminal
 * from now on does not count. Returns 0, or -1 if the connection is lost.
 */
static int finish(struct relay *relay, int status)
{
    struct pollfd taken = {.fd = relay->sock, .events = POLLOUT};
    size_t rest = 0, shown;

    do {
        while (relay->filled > 0) {
            if (flush(relay) < 0)
                return -1;
            if (relay->filled > 0 && poll(&taken, 1, -1) < 0 && errno != EINTR)
                return -1;
        }
        shown = rest < REST_MAX && has_more(relay) ? show(relay) : 0;
        rest += shown;
    } while (shown > 0);
    relay->phase = OVER;
    relay->held = 0;
    close(relay->pty.master);
    say_number(relay, "mlogin:{\"type\":\"exit\",\"status\":%d}", status);
    return 0;
}

/* How long to wait for events, ms. */
static int patience(const struct relay *relay)
{
    return relay->phase == OVER ? RELAY_GRACE_MS : relay->hung ? HUNG_MS : -1;
}

/* Wait until something can be done. Returns 0, or -1 if the other end has not closed within its grace. */
static int wait_for(struct relay *relay, struct pollfd watched[3])
{
    /* The terminal fills a buffer that is empty, so that what is shown waits behind what is sent. */
    short terminal = (short)((relay->filled == 0 ? POLLIN : 0) | (relay->held ? POLLOUT : 0));
    int reads = !relay->held && relay->have - relay->at < sizeof relay->in && room(relay) >= SPARE / 2;

    watched[0] = (struct pollfd){.fd = relay->sock, .events = (short)(reads ? POLLIN : 0)};
    watched[0].events |= (short)(relay->filled > 0 ? POLLOUT : 0);
    watched[1] = (struct pollfd){.fd = -1, .events = terminal};
    if (relay->phase == RUNNING && terminal && !relay->hung)
        watched[1].fd = relay->pty.master;
    watched[2] = (struct pollfd){.fd = relay->signals, .events = POLLIN};
    int ready = poll(watched, 3, patience(relay));
    relay->hung = ready > 0 && (watched[1].revents & (POLLIN | POLLHUP)) == POLLHUP;
    return ready == 0 ? (relay->phase == OVER ? -1 : 0) : ready < 0 && errno != EINTR ? -1 : 0;
}

static enum relay_result serve(struct relay *relay)
{
    struct pollfd watched[3];
    int status;

    for (;;) {
        if (digest(relay) < 0)
            return RELAY_BROKEN;
        if (flush(relay) < 0)
            return RELAY_LOST;
        if (relay->closed)
            return RELAY_CLOSED;
        if (wait_for(relay, watched) < 0)
            return relay->phase == OVER ? RELAY_CLOSED : RELAY_LOST;
        if (watched[0].revents & (POLLIN | POLLHUP | POLLERR)) {
            int heard = hear(relay);

            if (heard <= 0) {
                errno = heard == 0 ? 0 : errno;
                return RELAY_LOST;
            }
        }
        if (watched[1].revents & POLLOUT)
            relay->held = 0;
        if (watched[1].revents & POLLIN)
            show(relay);
        if (watched[2].revents & POLLIN) {
            if (take_signals(relay))
                return RELAY_STOPPED;
            if (has_ended(relay, &status) && finish(relay, status) < 0)
                return RELAY_LOST;
        }
    }
}

enum relay_result relay_run(int sock, const uint8_t *data, size_t len)
{
    static struct relay relay; /* too large for a stack, and there is one */
    sigset_t signals;

    relay.sock = sock;
    memcpy(relay.in, data, len);
    relay.have = len;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || fcntl(sock, F_SETFL, O_NONBLOCK) < 0 ||
        (relay.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return RELAY_LOST;
    enum relay_result result = serve(&relay);
    int problem = errno;
    if (relay.phase == RUNNING)
        close(relay.pty.master);
    close(relay.signals);
    errno = problem;
    return result;
}
