#include "split/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "split/child.h"
#include "streams/move.h"

static int fail(struct script *script, const char *what, const char *why)
{
    snprintf(script->keyer.why, sizeof script->keyer.why, "%s: %s", what, why);
    return -1;
}

static int make_room(struct script *script, size_t need)
{
    size_t room = 2 * need;
    char *larger;

    if (need <= script->room)
        return 0;
    if (!(larger = realloc(script->frame, room)))
        return fail(script, "cannot run the script", "no memory");
    script->frame = larger;
    script->room = room;
    return 0;
}

/* Read exactly `len` bytes. */
static int take(struct script *script, void *into, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t got = read(script->from, (char *)into + have, len - have);

        if (got == 0)
            return fail(script, "cannot run the script", "mkey has ended");
        if (got < 0 && errno != EINTR)
            return fail(script, "cannot hear mkey", strerror(errno));
        have += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* Read mkey's error message into `why`. */
static int take_failure(struct script *script)
{
    uint32_t len;

    if (take(script, &len, sizeof len) < 0)
        return -1;
    if (len >= sizeof script->keyer.why)
        len = sizeof script->keyer.why - 1; /* the rest of it stays unread, as mkey has ended */
    if (take(script, script->keyer.why, len) < 0)
        return -1;
    script->keyer.why[len] = '\0';
    return -1;
}

/* Read the keys of `n` lines into the frame, and set keys[]. */
static int take_keys(struct script *script, size_t n, struct hash_key *keys)
{
    uint32_t count, len;
    size_t total = 0;
    const char *at;

    if (take(script, &count, sizeof count) < 0)
        return -1;
    if (count == SCRIPT_FAILED)
        return take_failure(script);
    if (count != n)
        return fail(script, "cannot run the script",
                    "mkey has sent something else than keys (is it of another version?)");
    if (make_room(script, n * sizeof len) < 0 || take(script, script->frame, n * sizeof len) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        memcpy(&len, script->frame + i * sizeof len, sizeof len);
        keys[i].len = len;
        total += len;
    }
    if (make_room(script, total) < 0 || take(script, script->frame, total) < 0)
        return -1;
    at = script->frame;
    for (size_t i = 0; i < n; at += keys[i++].len)
        keys[i].data = (const unsigned char *)at;
    return 0;
}

static int send_lines(struct script *script, const struct span *lines, size_t n)
{
    size_t total = n - 1;
    uint32_t word;
    char *at;

    for (size_t i = 0; i < n; i++)
        total += lines[i].len;
    if (total >= SCRIPT_FAILED)
        return fail(script, "cannot run the script", "a line is longer than 4 GiB");
    if (make_room(script, sizeof word + total + 1) < 0)
        return -1;
    word = (uint32_t)total;
    memcpy(script->frame, &word, sizeof word);
    at = script->frame + sizeof word;
    for (size_t i = 0; i < n; i++) {
        memcpy(at, lines[i].at, lines[i].len);
        at += lines[i].len;
        *at++ = '\n';
    }
    if (move_write(script->to, script->frame, sizeof word + total, -1) == 0)
        return 0;
    return fail(script, "cannot run the script", errno == EPIPE ? "mkey has ended" : strerror(errno));
}

static int make_keys(struct keyer *keyer, const struct span *lines, size_t n, struct hash_key *keys)
{
    struct script *script = (struct script *)keyer; /* its first member */

    return send_lines(script, lines, n) < 0 ? -1 : take_keys(script, n, keys);
}

int script_start(struct script *script, char *const argv[])
{
    int to[2], from[2];
    int error;

    *script = (struct script){.keyer = {.keys = make_keys}, .pid = -1, .to = -1, .from = -1};
    if (pipe2(to, O_CLOEXEC) < 0)
        return fail(script, "cannot make a pipe", strerror(errno));
    script->to = to[1];
    if (pipe2(from, O_CLOEXEC) < 0) {
        error = errno;
        close(to[0]);
        return fail(script, "cannot make a pipe", strerror(error));
    }
    script->from = from[0];
    error = child_start(argv, to[0], from[1], &script->pid);
    close(to[0]);
    close(from[1]);
    if (error) {
        script->pid = -1;
        return fail(script, "cannot start mkey, which runs JavaScript", strerror(error));
    }
    return take_keys(script, 0, NULL);
}

void script_end(struct script *script)
{
    if (script->to >= 0)
        close(script->to);
    if (script->from >= 0)
        close(script->from);
    if (script->pid > 0)
        child_wait(script->pid);
    free(script->frame);
}
