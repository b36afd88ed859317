/*
 * environment - build the environment with which a task starts.
 */
#ifndef REMORA_ENVIRONMENT_H
#define REMORA_ENVIRONMENT_H

#include <stddef.h>

enum { ENVIRONMENT_VARIABLES = 4096 };

/*
 * environment_join - make an environment of two blocks: the variables of all tasks and those
 * of one.
 *
 * A block is "K=V\0K=V\0..." of that many bytes. Returns an array that lasts until the next call and ends
 * with NULL, or NULL with E2BIG for more than ENVIRONMENT_VARIABLES.
 */
char **environment_join(char *common, size_t common_len, char *own, size_t own_len);

/*
 * environment_reopen_input - replace `*input` by the file that MANTA_INPUT_FILE names, if it is the same one.
 *
 * Opened by that name it belongs to the instance's own read-only mount, so that opening
 * /proc/self/fd/0 cannot make it writable.
 */
void environment_reopen_input(int *input, char *const *variables);

#endif
