/*
 * outpipe - a pipe in place of a file that a task prints into, and what carries its bytes there.
 *
 * A file that is opened a second time (`echo b > /dev/stdout`) is truncated, and the second
 * writer has an offset of its own: `echo a; echo b > /dev/stdout; echo c` leaves "b\nc\n" or
 * less. A pipe has no offsets and is not truncated, so every writer appends. The pipe of such
 * a task is emptied into the file while the task runs, and once more when it has ended.
 *
 * A write into the file that fails is remembered: what the task printed is not all there.
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
 * The files are the outpipes' from here on. Any user may open the pipes for writing, as the
 * caller may not be who runs the task. Returns 0, or -1 with errno and everything as it was.
 */
int outpipes_open(struct outpipes *pipes, int fds[2]);

/*
 * outpipes_pour - move what waits in one pipe, at most 64 KiB, without waiting for more.
 *
 * When there is no writer any more the pipe and its file are closed. Returns 0, or -1 if the
 * file refused. The caller has blocked SIGXFSZ.
 */
int outpipes_pour(struct outpipes *pipes, int which);

/*
 * outpipes_close - move what is in the pipes at this moment, and close them and their files.
 *
 * For when all writers are dead: if one is not, this waits for nothing of it. Returns 0, or
 * errno of the first write of all that failed.
 */
int outpipes_close(struct outpipes *pipes);

#endif
