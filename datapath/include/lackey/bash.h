/*
 * bash - the shell that runs the scripts of tasks.
 */
#ifndef REMORA_BASH_H
#define REMORA_BASH_H

/* The path of the instance's bash; the usual one if there is none, so that tasks fail with the kernel's error. */
const char *bash_find(void);

/*
 * bash_is_five - whether a file is a bash of version 5.
 *
 * Its program text says so. Others may start a plain script in another way: version 4 has another SHLVL.
 */
int bash_is_five(const char *path);

#endif
