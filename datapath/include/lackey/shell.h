/*
 * shell - a program beside the running task: the task's end of a user's session, in the task's instance.
 *
 * It has the task's environment and a process session of its own, and ends with the task, whose
 * end kills all processes. Nothing of it is the task's: neither its output, nor its end, nor its
 * resource usage. For that it is told first, and ends all that it has started; what it leaves
 * behind counts as the task's, as all orphans do. It dumps no core.
 */
#ifndef REMORA_SHELL_H
#define REMORA_SHELL_H

#include "lackey/lackey.h"

enum { SHELL_GRACE_MS = 500 };

/*
 * shell_start - start the script of a SHELL packet, and report to the agent whether it has begun.
 *
 * Returns 0, or -1 with errno if the report cannot be sent.
 */
int shell_start(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                const int fds[3]);

/* shell_end - before the task's processes are killed: end the program, if there is one, and wait for SHELL_GRACE_MS. */
void shell_end(struct lackey *lackey);

#endif
