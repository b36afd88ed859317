/*
 * callfilter - the filter of system calls that tasks may not make, in an instance of any kind.
 *
 * An allow-list would break programs unknown to us; most rights are already taken from a task
 * by its users, its namespaces and its lack of capabilities. This deny-list removes rarely used
 * parts of the kernel, where most of its holes have been found; the ways into new namespaces,
 * where a task would have capabilities again; and calls by which the owner of a file can delay
 * other processes that open it, or evade the limit on its size. The table in callfilter.c is
 * the only one: the lackey installs it, in containers too.
 *
 * - The refusal is EPERM, as for a user without the right. A call does not exist (ENOSYS) if
 *   programs have a substitute for it (io_uring), if its flags are in memory, where no filter
 *   can read them (`clone3`: every C library falls back to `clone`), and if it is newer than
 *   this list, so that later additions to the kernel are not allowed by accident.
 * - Arguments that the kernel takes as 32 bits are compared as 32 bits: kernel and filter see
 *   the same number, even if the caller sets higher bits.
 * - Calls of another architecture (32-bit programs) have other numbers, and one of them takes
 *   its arguments in memory: a program that makes them is killed by SIGSYS. Those of x32 have
 *   numbers so large that they count as newer than this list.
 */
#ifndef REMORA_CALLFILTER_H
#define REMORA_CALLFILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "sandbox/reason.h"

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
 * callfilter_install - apply the filter to this process and all its descendants.
 *
 * Requires no_new_privs. Returns 1; 0 if the kernel, or this architecture, has no filters;
 * -1 with `why`.
 */
int callfilter_install(int inside, struct reason *why);

#endif
