#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char DEFAULT_SOCKET[] = "/.remora/agent.sock";

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
    exit(TOOL_FAILED);
}

void tool_misused(const struct tool *tool, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(tool, format, arguments);
    fputs(tool->usage, stderr);
    exit(TOOL_MISUSED);
}

void tool_help(const struct tool *tool)
{
    fputs(tool->usage, stdout);
    exit(0);
}

void tool_bad_option(const struct tool *tool, int found, char **argv)
{
    if (found == ':')
        tool_misused(tool, "option needs a value: %s", argv[optind - 1]);
    if (optopt)
        tool_misused(tool, "unknown option: -%c", optopt);
    tool_misused(tool, "unknown option: %s", argv[optind - 1]);
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
            *out++ = '/'; /* what was read is never shorter than what is written */
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
        tool_misused(tool, "header must be in the form of \"[header]: value\"");
    if (strpbrk(operand, "\r\n"))
        tool_misused(tool, "header has a line break in it");
    len = snprintf(request->headers + used, room, "%.*s: %s\n", (int)(colon - operand), operand,
                   colon + 1 + (colon[1] == ' '));
    if (len < 0 || (size_t)len >= room)
        tool_misused(tool, "headers are longer than %d bytes", TOOL_HEADERS_MAX - 1);
}

static void dial(struct tool *tool)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("REMORA_SOCKET");

    if (!path || !*path)
        path = DEFAULT_SOCKET;
    if (strlen(path) >= sizeof address.sun_path)
        tool_fail(tool, "cannot reach the agent: the path of its socket is too long: %s", path);
    strcpy(address.sun_path, path);
    tool->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (tool->sock < 0 || connect(tool->sock, (struct sockaddr *)&address, sizeof address) < 0)
        tool_fail(tool, "cannot reach the agent at %s: %s (this command works inside of tasks only)", path,
                  strerror(errno));
}

static void send_packet(struct tool *tool, enum pass_type type, const void *payload, size_t len)
{
    struct pass_header header = {.type = (uint32_t)type};

    /* A refusal may have come before we sent; the answer tells it, and not this. */
    if (pass_send(tool->sock, &header, payload, len, NULL, 0) < 0 && errno != EPIPE && errno != ECONNRESET)
        tool_fail(tool, "cannot ask the agent: %s", strerror(errno));
}

/* Receive an answer of `type` with `count` descriptors; anything else ends the tool. */
static void receive(struct tool *tool, enum pass_type type, int *fds, size_t count)
{
    int received[PASS_MAX_FDS];
    size_t n = PASS_MAX_FDS;
    ssize_t len;

    do
        len = pass_recv(tool->sock, &tool->answer, tool->payload, sizeof tool->payload - 1, received, &n);
    while (len < 0 && errno == EINTR);
    if (len < 0)
        tool_fail(tool, "the agent closed the connection before it answered");
    tool->payload[len] = '\0';
    if (tool->answer.type == PASS_REFUSED) {
        fprintf(stderr, "%s: %s\n", tool->name, tool->payload);
        exit(tool->answer.flags ? (int)(tool->answer.flags & 0xff) : TOOL_FAILED);
    }
    if (tool->answer.type != (uint32_t)type || n != count)
        tool_fail(tool, "the agent answered something else than was asked (is it of another version?)");
    for (size_t i = 0; i < n; i++)
        fds[i] = received[i];
}

void tool_open(struct tool *tool, struct tool_request *request, int *fds, size_t count)
{
    char payload[sizeof request->open + TOOL_PATH_MAX + TOOL_HEADERS_MAX];
    size_t name_len = strlen(request->name);
    size_t headers_len = strlen(request->headers);

    request->open.name_len = (uint32_t)name_len;
    request->open.headers_len = (uint32_t)headers_len;
    memcpy(payload, &request->open, sizeof request->open);
    memcpy(payload + sizeof request->open, request->name, name_len);
    memcpy(payload + sizeof request->open + name_len, request->headers, headers_len);
    dial(tool);
    send_packet(tool, PASS_OPEN, payload, sizeof request->open + name_len + headers_len);
    receive(tool, count > 0 ? PASS_GRANT : PASS_OK, fds, count);
}

const char *tool_commit(struct tool *tool)
{
    send_packet(tool, PASS_COMMIT, NULL, 0);
    receive(tool, PASS_OK, NULL, 0);
    return tool->payload;
}

void tool_spooled(const struct tool *tool, enum spool_result result)
{
    if (result != SPOOL_DONE)
        tool_fail(tool, "cannot save stdin: %s", spool_why(result, errno));
}
