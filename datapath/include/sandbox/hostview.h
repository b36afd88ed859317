/*
 * hostview - the parts of the machine that tasks see, in instances of all kinds.
 *
 * It is an allow-list: directories with programs and their files, and the size of the
 * machine. Data of the machine, of its users and of the service lies elsewhere.
 */
#ifndef REMORA_HOSTVIEW_H
#define REMORA_HOSTVIEW_H

#include <stddef.h>

/* cffi begin */
/* Directories of `/` that hold programs and their files: their names, NULL at the end. */
const char *const *hostview_programs(void);

/* Parts of /sys in which programs find the size of the machine, without the first slash. */
const char *const *hostview_system(void);
/* cffi end */

/* Whether a path is in a directory of programs. */
int hostview_is_program(const char *path);

/* Whether a directory may be added: not if instances have their own at that path. */
int hostview_may_add(const char *path);

/* The real file that /etc/resolv.conf leads to, in `path`, if no directory of programs holds it; else 0. */
int hostview_resolver(char path[], size_t size);

#endif
