#include "protocol/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char DEFAULT_SOCKET[] = "/.remora/agent.sock";

enum {
    OPTIONS = 64,   /* bytes of all letters */
    TRIES = 4,      /* requests to the agent, ... */
    PAUSE_MS = 100, /* ... after this pause the second time, ... */
    PAUSE_GROWS = 4 /* ... and with a pause so many times longer before each further one */
};

static void say(const struct tool *tool, const char *format, va_list arguments)
{
    fprintf(stderr, "%s: ", tool->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void tool_fail(const struct tool *tool, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(tool, format, arguments);
    exit(tool->failure ? tool->failure : TOOL_FAILED);
}

void tool_misused(const struct tool *tool, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(tool, format, arguments);
    fputs(tool->usage, stderr);
    exit(TOOL_MISUSED);
}

int tool_option(const struct tool *tool, int argc, char **argv, const char *letters, const struct option *words)
{
    static const struct option help[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    char all[OPTIONS];
    int found;

    opterr = 0;
    /* The colon makes getopt distinguish a missing value from an unknown option. */
    snprintf(all, sizeof all, ":%sh", letters);
    found = getopt_long(argc, argv, all, words ? words : help, NULL);
    if (found == 'h') {
        fputs(tool->usage, stdout);
        exit(0);
    }
    if (found == ':')
        tool_misused(tool, "option needs a value: %s", argv[optind - 1]);
    if (found == '?' && optopt)
        tool_misused(tool, "unknown option: -%c", optopt);
    if (found == '?')
        tool_misused(tool, "unknown option: %s", argv[optind - 1]);
    return found;
}

int32_t tool_whole(const struct tool *tool, const char *text, const char *wrong)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    if (end == text || *end != '\0')
        tool_misused(tool, "%s", wrong);
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

int32_t tool_reducer(const struct tool *tool, const char *text)
{
    int32_t reducer = tool_whole(tool, text, "invalid reducer");

    if (reducer < 0)
        tool_fail(tool, "invalid reducer");
    return reducer;
}

/* Resolve "//", "." and ".." in place; the path is absolute. */
static void normalise(char *path)
{
    char *out = path;
    char *in = path;

    while (*in) {
        size_t len;

        in += strspn(in, "/");
        len = strcspn(in, "/");
        if (len == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/')
                ;
        } else if (len > 0 && !(len == 1 && in[0] == '.')) {
            *out++ = '/'; /* the text written is never longer than the text read */
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

void tool_set_path(const struct tool *tool, struct tool_request *request, const char *operand)
{
    const char *user = getenv("MANTA_USER");
    int own = strncmp(operand, "~~", 2) == 0 && (operand[2] == '/' || operand[2] == '\0');
    int len;

    if (!own && operand[0] != '/')
        tool_misused(tool, "path begins with neither \"/\" nor \"~~\": \"%s\"", operand);
    if (own && (!user || !*user))
        tool_misused(tool, "cannot expand \"~~\": MANTA_USER is not set");
    if (own)
        len = snprintf(request->name, sizeof request->name, "/%s%s", user, operand + 2);
    else
        len = snprintf(request->name, sizeof request->name, "%s", operand);
    if (len < 0 || (size_t)len >= sizeof request->name)
        tool_misused(tool, "path is longer than %d bytes", TOOL_PATH_MAX - 1);
    normalise(request->name);
}

void tool_add_header(const struct tool *tool, struct tool_request *request, const char *operand)
{
    const char *colon = strchr(operand, ':');
    size_t used = strlen(request->headers);
    size_t room = sizeof request->headers - used;
    int len;

    if (!colon || colon == operand)
        tool_misused(tool, "headers must be in the format [header]: [value].");
    if (strpbrk(operand, "\r\n"))
        tool_misused(tool, "header has a line break in it");
    len = snprintf(request->headers + used, room, "%.*s: %s\n", (int)(colon - operand), operand,
                   colon + 1 + (colon[1] == ' '));
    if (len < 0 || (size_t)len >= room)
        tool_misused(tool, "headers are longer than %d bytes", TOOL_HEADERS_MAX - 1);
}

/* Connect to the agent. Returns 0, or -1 with errno if it is there but does not accept now. */
static int dial(struct tool *tool)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("REMORA_SOCKET");

    if (!path || !*path)
        path = DEFAULT_SOCKET;
    if (strlen(path) >= sizeof address.sun_path)
        tool_fail(tool, "cannot reach the agent: the path of its socket is too long: %s", path);
    strcpy(address.sun_path, path);
    tool->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (tool->sock >= 0 && connect(tool->sock, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (tool->sock >= 0 && (errno == ECONNREFUSED || errno == EAGAIN || errno == EINTR))
        return -1;
    tool_fail(tool, "cannot reach the agent at %s: %s (this command works inside of tasks only)", path,
              strerror(errno));
}

static void send_packet(struct tool *tool, enum pass_type type, const void *payload, size_t len)
{
    struct pass_header header = {.type = (uint32_t)type};

    /* A refusal may have come before we sent; then the answer has the reason, not this error. */
    if (pass_send(tool->sock, &header, payload, len, NULL, 0) < 0 && errno != EPIPE && errno != ECONNRESET)
        tool_fail(tool, "cannot ask the agent: %s", strerror(errno));
}

/*
 * Receive an answer of `type` with `count` descriptors; any other answer ends the tool.
 * Returns 0, or -1 with errno if the agent went away without an answer.
 */
static int receive(struct tool *tool, enum pass_type type, int *fds, size_t count)
{
    int received[PASS_MAX_FDS];
    size_t n = PASS_MAX_FDS;
    ssize_t len = pass_recv(tool->sock, &tool->answer, tool->payload, sizeof tool->payload - 1, received, &n);

    if (len < 0 && errno == ENOTCONN)
        return -1;
    if (len < 0)
        tool_fail(tool, "cannot hear the agent: %s", strerror(errno));
    tool->payload[len] = '\0';
    if (tool->answer.type == PASS_REFUSED) {
        fprintf(stderr, "%s: %s\n", tool->name, tool->payload);
        exit(tool->answer.flags ? (int)(tool->answer.flags & 0xff) : TOOL_FAILED);
    }
    if (tool->answer.type != (uint32_t)type || n != count)
        tool_fail(tool, "the agent answered something else than was asked (is it of another version?)");
    for (size_t i = 0; i < n; i++)
        fds[i] = received[i];
    return 0;
}

/* Pause before the next try, with the reason of the last failure in errno. */
static void pause_before(struct tool *tool, int try)
{
    const char *why = errno == ENOTCONN ? "it closed the connection before it answered" : strerror(errno);
    long ms = PAUSE_MS;

    if (try > TRIES)
        tool_fail(tool, "the agent does not answer: %s", why);
    if (tool->sock >= 0)
        close(tool->sock);
    for (int i = 2; i < try; i++)
        ms *= PAUSE_GROWS;
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

void tool_open(struct tool *tool, struct tool_request *request, int *fds, size_t count)
{
    char payload[sizeof request->open + TOOL_PATH_MAX + TOOL_HEADERS_MAX];
    size_t name_len = strlen(request->name);
    size_t headers_len = strlen(request->headers);

    if (getenv("REMORA_SESSION"))
        tool_fail(tool, "this is a shell beside a task, whose outputs are its own: store objects by mput");
    request->open.name_len = (uint32_t)name_len;
    request->open.headers_len = (uint32_t)headers_len;
    memcpy(payload, &request->open, sizeof request->open);
    memcpy(payload + sizeof request->open, request->name, name_len);
    memcpy(payload + sizeof request->open + name_len, request->headers, headers_len);
    /* No input was read yet, and the agent has recorded nothing: the request is safe to repeat. */
    for (int try = 1;; pause_before(tool, ++try)) {
        if (dial(tool) < 0)
            continue;
        send_packet(tool, PASS_OPEN, payload, sizeof request->open + name_len + headers_len);
        if (receive(tool, count > 0 ? PASS_GRANT : PASS_OK, fds, count) == 0)
            return;
    }
}

const char *tool_commit(struct tool *tool, const int *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (close(files[i]) < 0)
            tool_fail(tool, "cannot save: %s", strerror(errno));
    send_packet(tool, PASS_COMMIT, NULL, 0);
    if (receive(tool, PASS_OK, NULL, 0) < 0)
        tool_fail(tool, "the agent closed the connection before it answered");
    return tool->payload;
}

void tool_spooled(const struct tool *tool, enum spool_result result)
{
    if (result != SPOOL_DONE)
        tool_fail(tool, "cannot save stdin: %s", spool_why(result, errno));
}
