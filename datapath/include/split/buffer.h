/*
 * buffer - the text of a descriptor that was read and not taken yet.
 *
 * Some bytes behind the text may be read, so that text can be looked at in blocks.
 */
#ifndef REMORA_BUFFER_H
#define REMORA_BUFFER_H

#include <stddef.h>

struct buffer {
    int fd;
    char *text;
    size_t have; /* bytes in `text` */
    size_t room; /* bytes that it can hold, the pad not counted */
    size_t pad;  /* bytes after these that may be read */
    int ended;   /* the descriptor has no more */
};

/* buffer_open - read `fd` from its current position. Returns 0, or -1 if there is no memory. */
int buffer_open(struct buffer *buffer, int fd, size_t room, size_t pad);

/* buffer_fill - read until it is full, or the text has ended. Returns 0, or -1 with errno. */
int buffer_fill(struct buffer *buffer);

/* buffer_take - drop the first `taken` bytes. */
void buffer_take(struct buffer *buffer, size_t taken);

/* buffer_grow - double the room. Returns 0, or -1 if there is no memory. */
int buffer_grow(struct buffer *buffer);

/* buffer_close - free the text; the caller closes the descriptor. */
void buffer_close(struct buffer *buffer);

#endif
