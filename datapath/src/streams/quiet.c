#include "streams/quiet.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static const int NOISY[] = {SIGPIPE, SIGXFSZ};

void quiet_begin(struct quiet *quiet)
{
    sigset_t noisy;

    sigemptyset(&noisy);
    for (size_t i = 0; i < sizeof NOISY / sizeof *NOISY; i++)
        sigaddset(&noisy, NOISY[i]);
    sigpending(&quiet->pending);
    pthread_sigmask(SIG_BLOCK, &noisy, &quiet->before);
}

void quiet_end(const struct quiet *quiet)
{
    int saved = errno;

    for (size_t i = 0; i < sizeof NOISY / sizeof *NOISY; i++) {
        sigset_t one;

        if (sigismember(&quiet->pending, NOISY[i]))
            continue;
        sigemptyset(&one);
        sigaddset(&one, NOISY[i]);
        /* Both signals are sent to the thread that wrote, so at most one is pending here. */
        while (sigtimedwait(&one, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
    errno = saved;
}
