/*
 * dumping - wait for core dumps that are being written.
 *
 * To kill a process that writes its core file cuts the file off where it is, and where the
 * kernel gives all core files one name, the next process that dumps has removed the whole one
 * of the process before. So all that dump at once are let finish before a task is ended: the
 * last of them has left a whole file.
 */
#ifndef REMORA_DUMPING_H
#define REMORA_DUMPING_H

/*
 * dumping_wait - return when no process that we see is writing a core file, but after `seconds` at the latest.
 *
 * Looks through /proc, a few times if need be: only to be called when something has dumped. Kernels
 * before 4.15 do not tell, and there it returns at once.
 */
void dumping_wait(int seconds);

#endif
