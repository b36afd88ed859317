/*
 * quiet - writes that fail by their result, never by a signal.
 *
 * A write into a pipe without a reader raises SIGPIPE, one beyond the file size limit
 * SIGXFSZ, and both end a process that did not ask for them. A library may neither
 * rely on its host to ignore them nor change that for the whole process. So it blocks
 * them in its own thread for the length of a call, and takes back what it caused.
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
    sigset_t pending; /* what was pending already: not ours to take */
};

/* quiet_begin - block SIGPIPE and SIGXFSZ in this thread. Cannot fail. */
void quiet_begin(struct quiet *quiet);

/* quiet_end - drop those that were raised since, restore the mask. Keeps errno. */
void quiet_end(const struct quiet *quiet);

#endif
