/*
 * quiet - make writes fail by their result, never by a signal.
 *
 * A write into a pipe without a reader raises SIGPIPE, one beyond the file size limit
 * SIGXFSZ, and both end a process by default. A library may neither rely on its host to
 * ignore them nor change that for the whole process. So it blocks them in its own
 * thread during a call, and removes the signals that the call caused.
 *
 *     struct quiet quiet;
 *     quiet_begin(&quiet);
 *     ... writes; EPIPE and EFBIG are plain errors ...
 *     quiet_end(&quiet);
 */
#ifndef REMORA_QUIET_H
#define REMORA_QUIET_H

#include <signal.h>

struct quiet {
    sigset_t before;  /* the thread's mask as the caller had it */
    sigset_t pending; /* signals that were pending before, and are left alone */
};

/* quiet_begin - block SIGPIPE and SIGXFSZ in this thread. Cannot fail. */
void quiet_begin(struct quiet *quiet);

/* quiet_end - discard signals that were raised since, restore the mask. Keeps errno. */
void quiet_end(const struct quiet *quiet);

#endif
