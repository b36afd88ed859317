#include "cores/corefile.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "lackey/beneath.h"

/* The process's name is in one of the first notes; these bytes include the notes before it. */
enum { NOTES_READ = 4096 };

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static void copy_name(const char *note, char program[COREFILE_PROGRAM])
{
    struct elf_prpsinfo info;

    memcpy(&info, note, sizeof info);
    size_t length = strnlen(info.pr_fname, sizeof info.pr_fname);
    memcpy(program, info.pr_fname, length);
    program[length] = '\0';
}

void corefile_parse(const void *notes, size_t len, char program[COREFILE_PROGRAM])
{
    const char *data = notes;
    size_t at = 0;
    ElfW(Nhdr) note;

    program[0] = '\0';
    while (len - at >= sizeof note) {
        memcpy(&note, data + at, sizeof note);
        at += sizeof note;
        if (note.n_namesz > len || note.n_descsz > len || padded(note.n_namesz) + padded(note.n_descsz) > len - at)
            return;
        at += padded(note.n_namesz);
        if (note.n_type == NT_PRPSINFO && note.n_descsz >= sizeof(struct elf_prpsinfo)) {
            copy_name(data + at, program);
            return;
        }
        at += padded(note.n_descsz);
    }
}

static void read_program(int fd, const ElfW(Ehdr) * header, char program[COREFILE_PROGRAM])
{
    char notes[NOTES_READ];
    ElfW(Phdr) segment;

    program[0] = '\0';
    /* The kernel writes the notes' segment first. */
    if (header->e_phoff > INT64_MAX || pread(fd, &segment, sizeof segment, (off_t)header->e_phoff) != sizeof segment)
        return;
    if (segment.p_type != PT_NOTE || segment.p_offset > INT64_MAX)
        return;
    ssize_t got = pread(fd, notes, sizeof notes, (off_t)segment.p_offset);
    if (got > 0)
        corefile_parse(notes, (size_t)got, program);
}

int corefile_parse_file(int fd, char program[COREFILE_PROGRAM])
{
    ElfW(Ehdr) header;

    if (pread(fd, &header, sizeof header, 0) != sizeof header)
        return 0;
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_CORE)
        return 0;
    read_program(fd, &header, program);
    return 1;
}

int corefile_read(int directory, const char *relative, char program[COREFILE_PROGRAM])
{
    int fd = beneath_file(directory, relative);

    if (fd < 0)
        return 0;
    int is_core = corefile_parse_file(fd, program);
    close(fd);
    return is_core;
}
