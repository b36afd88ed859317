/*
 * child - start another program, with given descriptors as its standard input and output.
 */
#ifndef REMORA_CHILD_H
#define REMORA_CHILD_H

#include <sys/types.h>

/*
 * child_start - start argv[0], found by PATH unless it has a slash, with `in` and `out`
 * as its standard input and output. Other descriptors go along unless they are
 * close-on-exec. Returns 0 and the process in *pid, or an errno.
 */
int child_start(char *const argv[], int in, int out, pid_t *pid);

/*
 * child_read_output - start `bash -c command`, which reads what this process prints from here on.
 *
 * SIGPIPE is ignored then: the command may stop reading. Returns 0 and the process in *pid, or an errno.
 */
int child_read_output(const char *command, pid_t *pid);

/* child_wait - wait for its end. Returns its exit status, or 128 + the signal that ended it. */
int child_wait(pid_t pid);

#endif
