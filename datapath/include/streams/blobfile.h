/*
 * blobfile - a file on its way to being a blob, and blobs on their way to a task.
 *
 * For a small task the agent makes some thirty system calls, and each that is made from Python costs more there than
 * in the kernel. Those that belong together are one call here.
 *
 * A link is made by the descriptor alone where the caller may do that (CAP_DAC_READ_SEARCH); otherwise by its name
 * in /proc, which takes the kernel several times as long. All functions return -1 with errno when they fail.
 */
#ifndef REMORA_BLOBFILE_H
#define REMORA_BLOBFILE_H

#include <stddef.h>
#include <stdint.h>

/* cffi begin */
enum blobfile_seal {
    BLOBFILE_SEALED, /* no process can write to the file any more */
    BLOBFILE_SHARED, /* a process may have it open for writing: it has to be copied */
    BLOBFILE_LARGE   /* it has more than BLOBFILE_SMALL bytes, and was not kept for that */
};

/*
 * blobfile_create - a descriptor, for reading and writing, of a new file without a name on the file system of `dir`.
 *
 * Its mode is `mode` whatever the umask.
 */
int blobfile_create(int dir, unsigned mode);

/*
 * blobfile_open - a read-only descriptor of the file `name` below `dir`.
 *
 * Never waits: EWOULDBLOCK if another process has a write lease on the file.
 */
int blobfile_open(int dir, const char *name);

/* blobfile_empty - make a file empty, without blocks, and be at its beginning. Returns 0. */
int blobfile_empty(int fd);

/*
 * blobfile_seal - make `fd` a read-only descriptor of the same file, and see whether another is writable.
 *
 * Blocks beyond the end of the file are given back first. *size becomes its size, which is final if it is sealed.
 * The kernel grants a read lease only on a file that no process has open for writing, which is how this is known.
 */
int blobfile_seal(int fd, uint64_t *size);

enum { BLOBFILE_SMALL = 65536 };

struct blobfile_kept {
    uint64_t size;
    unsigned char md5[16]; /* if it was to be hashed */
};

/*
 * blobfile_keep - seal a small file, hash it if `hashed`, and publish it: all that most outputs need.
 *
 * An empty file gets no name, nor does one of which BLOBFILE_SHARED or BLOBFILE_LARGE is returned.
 */
int blobfile_keep(int fd, int dir, const char *name, unsigned mode, int hashed, struct blobfile_kept *kept);

struct blobfile_total {
    uint64_t size; /* bytes */
    uint64_t disk; /* bytes on disk */
};

/* blobfile_total - the totals over `n` files. Returns 0. */
int blobfile_total(const int *fds, size_t n, struct blobfile_total *total);

/* blobfile_link - give the file behind `fd` the name `name` below `dir`. Returns 0. */
int blobfile_link(int fd, int dir, const char *name);

/* blobfile_publish - the same, after its mode has become `mode`. Returns 0. */
int blobfile_publish(int fd, int dir, const char *name, unsigned mode);
/* cffi end */

#endif
