/*
 * outpipe - pipes that replace a task's output files, and the transfer of their bytes into the
 * files.
 *
 * A file that is opened a second time (`echo b > /dev/stdout`) is truncated, and the second
 * writer has an offset of its own: `echo a; echo b > /dev/stdout; echo c` leaves "b\nc\n" or
 * less. A pipe has no offsets and is not truncated, so every writer appends. The pipe of such
 * a task is emptied into the file while the task runs, and once more when it has ended.
 *
 * A failed write into the file is remembered: the output is incomplete.
 */
#ifndef REMORA_OUTPIPE_H
#define REMORA_OUTPIPE_H

struct outpipe {
    int reading; /* -1: there is nothing to come, and no file any more */
    int file;
};

/* The pipes of a task's standard output and error. Zero: none are open. */
struct outpipes {
    int open;
    int error; /* errno of the first write that failed */
    struct outpipe of[2];
};

/*
 * outpipes_open - put the writing ends of two pipes in place of the files fds[0] and fds[1].
 *
 * The outpipes own the files from here on. Any user may open the pipes for writing, as the
 * task may run as another user than the caller. Returns 0, or -1 with errno and nothing
 * changed.
 */
int outpipes_open(struct outpipes *pipes, int fds[2]);

/*
 * outpipes_pour - move the bytes that are in one pipe, at most 64 KiB, without waiting for more.
 *
 * When the pipe has no writer any more, it and its file are closed. Returns 0, or -1 if
 * writing to the file failed. The caller has blocked SIGXFSZ.
 */
int outpipes_pour(struct outpipes *pipes, int which);

/*
 * outpipes_close - move the bytes that are in the pipes at this moment, and close them and
 * their files.
 *
 * To be called when all writers are dead; a writer that is not delays nothing. Returns 0, or
 * errno of the first write of all that failed.
 */
int outpipes_close(struct outpipes *pipes);

#endif
