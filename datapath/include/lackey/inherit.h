/*
 * inherit - reset the process attributes that a task inherits, so that they do not depend on
 * how the agent was started.
 */
#ifndef REMORA_INHERIT_H
#define REMORA_INHERIT_H

/*
 * inherit_clean - set signals, masks, session and limits to the state in which every task starts.
 *
 * No file may grow beyond `disk_bytes` (0: no limit), core files included; locked memory,
 * message queues and pending signals, which memory caps do not count on every kernel, are
 * limited to a few. Returns 0, or -1 with errno.
 */
int inherit_clean(unsigned long long disk_bytes);

/*
 * inherit_processes - limit the user to `count` processes and threads (0: no limit).
 *
 * Called inside a user namespace it counts those of the namespace (Linux 5.14; before, and without one, all that the
 * user has on the machine). Returns 0, or -1 with errno.
 */
int inherit_processes(unsigned long long count);

#endif
