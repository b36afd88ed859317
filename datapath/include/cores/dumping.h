/*
 * dumping - wait for core dumps that are being written.
 *
 * Killing a process that writes its core file truncates the file, and if all core files have
 * one name, it has already replaced the complete file of an earlier process. So all processes
 * that dump at the same time finish before a task is ended: the last of them leaves a
 * complete file.
 */
#ifndef REMORA_DUMPING_H
#define REMORA_DUMPING_H

/*
 * dumping_wait - return when no visible process is writing a core file, but after `seconds` at the latest.
 *
 * Reads /proc, several times if need be: only to be called after a core dump. Kernels before
 * 4.15 do not report it, and there it returns at once.
 */
void dumping_wait(int seconds);

#endif
