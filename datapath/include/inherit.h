/*
 * inherit - what a task inherits is the same, however the agent was started, and no more than it shall have.
 */
#ifndef REMORA_INHERIT_H
#define REMORA_INHERIT_H

/*
 * inherit_clean - signals, masks, session and limits as every task shall find them.
 *
 * No file may grow beyond `disk_bytes` (0: no limit), core files included; locked memory, message queues and
 * pending signals, which no cap on memory counts everywhere, are few. Returns 0, or -1 with errno.
 */
int inherit_clean(unsigned long long disk_bytes);

/*
 * inherit_processes - a user may have at most `count` processes and threads (0: no limit).
 *
 * Called inside a user namespace it counts those of the namespace (Linux 5.14; before, and without one, all that the
 * user has on the machine). Returns 0, or -1 with errno.
 */
int inherit_processes(unsigned long long count);

#endif
