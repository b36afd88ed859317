/*
 * callfilter - the system calls that tasks may not make, in an instance of any kind.
 *
 * A list of what is allowed would break programs unknown to us; what a task must
 * not do is already kept from it by its users, its namespaces and its lack of capabilities.
 * This list takes away the kernel's rarely trodden ground, where its holes have mostly been
 * found; the ways into fresh namespaces, where a task would have capabilities again; and what
 * the user of a file may do to others who open it, or to the disk behind the limit on its size.
 * The table in callfilter.c is the only one: the lackey installs it, in containers too.
 *
 * - The refusal is EPERM, as for a user without the right. A call does not exist (ENOSYS) if
 *   programs have something else for it (io_uring), if it hides flags in memory, where no
 *   filter can look (`clone3`: every C library falls back to `clone`), and if it is newer than
 *   this list, so that what the kernel learns later is not open by accident.
 * - Arguments that the kernel takes as 32 bits are compared as 32 bits: whatever a caller puts
 *   above them, kernel and filter see the same number.
 * - Calls of another architecture (32-bit programs) have other numbers, and one of them takes
 *   its arguments in memory: a program that makes them is killed by SIGSYS. Those of x32 have
 *   numbers so large that they count as newer than this list.
 */
#ifndef REMORA_CALLFILTER_H
#define REMORA_CALLFILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "reason.h"

enum { CALLFILTER_MAX = 1024 };

/*
 * callfilter_build - write the filter's program to `code`; its length, at most CALLFILTER_MAX.
 *
 * Where tasks are not `inside` namespaces, some calls would reach other processes of their
 * user, and are refused as well: kill(-1), shared memory and queues of System V and POSIX,
 * and unix sockets that could reach a path, but for those of the agent's kind
 * (SOCK_SEQPACKET), since no mode of a file keeps a user from the sockets of its own session,
 * its agent for keys, or a daemon that makes it root.
 */
size_t callfilter_build(struct sock_filter code[CALLFILTER_MAX], int inside);

/*
 * callfilter_install - put it before all that this process will ever start.
 *
 * Wants no_new_privs. Returns 1; 0 if the kernel, or this architecture, has no filters;
 * -1 with `why`.
 */
int callfilter_install(int inside, struct reason *why);

#endif
