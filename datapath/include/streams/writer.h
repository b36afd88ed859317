/*
 * writer - a thread that writes full buffers while the next ones are being filled.
 *
 * Writing to a file costs about as much as deciding what to write, and the two share
 * nothing but a buffer. So the caller hands a full buffer over and gets an empty one
 * back. At most WRITER_SLOTS buffers are pending; beyond that the hand-over waits,
 * which bounds the memory. Buffers are written in order.
 */
#ifndef REMORA_WRITER_H
#define REMORA_WRITER_H

#include <stddef.h>
#include <stdint.h>

enum { WRITER_SLOTS = 4 };

struct writer;

/* writer_new - start a thread, with spare buffers of `room` bytes from malloc. NULL
 * if there is no memory or no thread. */
struct writer *writer_new(size_t room);

/*
 * writer_give - have `len` bytes of *buffer written to `fd`; *buffer becomes an empty one.
 *
 * `tag` names the destination if it fails. Returns 0, or -1 after an earlier write has
 * failed: then nothing is written any more.
 */
int writer_give(struct writer *writer, int fd, uint32_t tag, char **buffer, size_t len);

/*
 * writer_end - wait until all buffers are written, end the thread, free the spare buffers.
 *
 * Returns 0, or the errno of the first write that failed, with its tag in *tag.
 */
int writer_end(struct writer *writer, uint32_t *tag);

#endif
