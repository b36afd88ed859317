/*
 * input - the text of several files, one after another.
 */
#ifndef REMORA_INPUT_H
#define REMORA_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { INPUT_END = -2 }; /* there is no more text */

struct input {
    const char *const *files;
    size_t n;
    char end; /* of lines */
    int has_header;

    size_t next;   /* the file that is opened next */
    int fd;        /* of the current file; -1: none */
    uint64_t read; /* bytes of the current file */

    char *header; /* the first file's, with its end */
    size_t header_len;
    char *left; /* text behind the current file's header that was read with it */
    size_t left_at, left_len;
};

/* input_allow_many - let this process have as many files open as it may: merges have many. A refusal changes nothing. */
void input_allow_many(void);

/* input_open - prepare to read `files`, whose lines end in `end`. */
void input_open(struct input *input, const char *const *files, size_t n, char end, int has_header);

/*
 * input_read - read text of the current file, or begin the next one.
 *
 * Returns the bytes; 0 at the end of a file (call again: then the next one begins); -1 with
 * errno if `input_name` cannot be read; INPUT_END at the end of all.
 */
ssize_t input_read(struct input *input, char *to, size_t room);

/* input_name - the current file's name. */
const char *input_name(const struct input *input);

void input_close(struct input *input);

/* input_file - open a file, or standard input for "-". Returns its descriptor, or -1 with errno. */
int input_file(const char *name);

#endif
