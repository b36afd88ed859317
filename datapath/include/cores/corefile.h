/*
 * corefile - recognize a core dump, and the program that dumped.
 */
#ifndef REMORA_COREFILE_H
#define REMORA_COREFILE_H

#include <stddef.h>

enum { COREFILE_PROGRAM = 32 };

/*
 * corefile_parse - find the program's name in the head of a file.
 *
 * `notes` are the first bytes of its first note segment, which `corefile_notes` finds; the
 * name of the program that dumped is written to `program`, "" if there is none. The file
 * comes from a task: nothing in it is trusted.
 */
void corefile_parse(const void *notes, size_t len, char program[COREFILE_PROGRAM]);

/*
 * corefile_read - read a file that may be a core dump.
 *
 * Returns 1 and the program's name if it is an ELF core file, 0 if it is anything else,
 * or cannot be opened by `beneath_file`.
 */
int corefile_read(int directory, const char *relative, char program[COREFILE_PROGRAM]);

/* corefile_parse_file - the same for an open file. If it is no core file, `program` may have changed. */
int corefile_parse_file(int fd, char program[COREFILE_PROGRAM]);

#endif
