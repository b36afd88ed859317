/*
 * tool - the common part of mpipe, mcat, mtee, msplit and maggr: options and errors, and
 * for all but maggr the client half of pass.h.
 *
 * A tool runs inside a task and owns nothing there. It asks the agent for a descriptor,
 * writes bytes into it, and reports them as complete; if it ends before that, the agent
 * drops them. So every failure is handled alike: print the reason in one line, and exit.
 * Status 2 is a usage error, 1 is any later failure.
 *
 *     struct tool tool = {.name = "mpipe", .usage = "..."};
 *     tool_open(&tool, &request, &fd, 1);
 *     ... write to fd ...
 *     puts(tool_commit(&tool, &fd, 1));
 */
#ifndef REMORA_TOOL_H
#define REMORA_TOOL_H

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/pass.h"
#include "streams/spool.h"

enum { TOOL_PATH_MAX = 4096, TOOL_HEADERS_MAX = 16 * 1024, TOOL_FAILED = 1, TOOL_MISUSED = 2 };

struct tool {
    const char *name;
    const char *usage; /* the whole help text */
    int failure;       /* the exit status of failures; 0: TOOL_FAILED */
    int sock;
    struct pass_header answer;       /* the last packet from the agent ... */
    char payload[TOOL_PATH_MAX + 1]; /* ... and its payload, as a string */
};

struct tool_request {
    struct pass_open open; /* lengths are filled in by tool_open */
    char name[TOOL_PATH_MAX];
    char headers[TOOL_HEADERS_MAX];
};

/* tool_fail - print "<tool>: <message>" and exit with the status of failures. */
_Noreturn void tool_fail(const struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* tool_misused - print the message and the usage, and exit with TOOL_MISUSED. */
_Noreturn void tool_misused(const struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * tool_option - the next option of the command line, as getopt_long finds it; -1 after the last.
 *
 * `letters` are as for getopt, and `words` as for getopt_long, or NULL if there are
 * none. Every tool has --help and -h, which print the usage and end. An unknown option,
 * or one without its operand, is misuse.
 */
int tool_option(const struct tool *tool, int argc, char **argv, const char *letters, const struct option *words);

/* tool_whole - `text` as a whole number, clamped to an int32_t; exits as misuse with `wrong` otherwise. */
int32_t tool_whole(const struct tool *tool, const char *text, const char *wrong);

/* tool_reducer - the operand of -r; a number below 0 is refused as the agent refuses one above 127. */
int32_t tool_reducer(const struct tool *tool, const char *text);

/*
 * tool_set_path - set the request's name to an operand.
 *
 * `~~` at its start becomes `/$MANTA_USER`; then "//", "." and ".." are resolved and a
 * slash at the end is dropped. Exits as misuse if the result is not an absolute path.
 */
void tool_set_path(const struct tool *tool, struct tool_request *request, const char *operand);

/* tool_add_header - add the operand of -H, "name: value". Exits as misuse if it is not one. */
void tool_add_header(const struct tool *tool, struct tool_request *request, const char *operand);

/*
 * tool_open - connect to the agent ($REMORA_SOCKET, or /.remora/agent.sock) and ask.
 *
 * Returns when the agent has granted `count` descriptors, put into `fds`; for a reference
 * `count` is 0 and the answer is complete. Exits with the agent's sentence if it refuses.
 * It refuses in a shell beside a task ($REMORA_SESSION), for which the task's outputs are not.
 * The request is repeated a few times if the agent is too busy to accept it, or goes away
 * before it answers.
 */
void tool_open(struct tool *tool, struct tool_request *request, int *fds, size_t count);

/*
 * tool_commit - report `files` as complete; returns the name of the object. Closes them first:
 * the agent must copy a file that a process can still write to. Exits if the agent refuses.
 */
const char *tool_commit(struct tool *tool, const int *files, size_t count);

/* tool_spooled - exit unless a spool succeeded. errno is that of the spool. */
void tool_spooled(const struct tool *tool, enum spool_result result);

#endif
