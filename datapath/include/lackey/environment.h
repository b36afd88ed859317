/*
 * environment - build the environment with which a task starts.
 */
#ifndef REMORA_ENVIRONMENT_H
#define REMORA_ENVIRONMENT_H

#include <stddef.h>

#include "lackey/plain.h"

enum { ENVIRONMENT_VARIABLES = 4096 };

/*
 * environment_join - make an environment of two blocks: the variables of all tasks and those
 * of one.
 *
 * A block is "K=V\0K=V\0..." of that many bytes. Returns an array that lasts until the next call and ends
 * with NULL, after which it has room for PLAIN_VARIABLES more, or NULL with E2BIG for more than ENVIRONMENT_VARIABLES.
 */
char **environment_join(char *common, size_t common_len, char *own, size_t own_len);

/*
 * environment_with_shell - a copy of a block with SHELL added, on the heap.
 *
 * Only the instance's own process knows where its shell is. Returns the copy and its length, or NULL with errno.
 */
char *environment_with_shell(const char *block, size_t len, const char *shell, size_t *new_len);

/*
 * environment_reopen_input - replace `*input` by the file that MANTA_INPUT_FILE names, if it is the same one.
 *
 * Opened by that name it belongs to the instance's own read-only mount, so that opening
 * /proc/self/fd/0 cannot make it writable.
 */
void environment_reopen_input(int *input, char *const *variables);

#endif
