/*
 * hostview - what of the machine tasks see, whatever keeps them from the rest.
 *
 * An allow-list: programs and what they need, and how large the machine is. Data of the
 * machine, of its users and of the service lies elsewhere.
 */
#ifndef REMORA_HOSTVIEW_H
#define REMORA_HOSTVIEW_H

#include <stddef.h>

/* cffi begin */
/* Directories of `/` that hold programs and what they need: their names, NULL at the end. */
const char *const *hostview_programs(void);

/* Parts of /sys that programs ask how large the machine is, without the first slash. */
const char *const *hostview_system(void);
/* cffi end */

/* Whether a path is in a directory of programs. */
int hostview_is_program(const char *path);

/* Whether a directory may be added: not if it is a place that instances have of their own. */
int hostview_may_add(const char *path);

/* The real file that /etc/resolv.conf leads to, in `path`, if no directory of programs holds it; else 0. */
int hostview_resolver(char path[], size_t size);

#endif
