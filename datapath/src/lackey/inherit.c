#include "lackey/inherit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCKED_BYTES = 8 << 20, QUEUED_BYTES = 800 << 10, PENDING_SIGNALS = 4096 };
static const unsigned long long no_more = ~0ULL;

/* Set a limit to `most`, or to the hard limit if that is lower. */
static int limit(int resource, unsigned long long most)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return -1;
    if (most < limit.rlim_max)
        limit.rlim_max = most;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit);
}

int inherit_clean(unsigned long long disk_bytes)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for a few signals that cannot be changed */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    setsid();                        /* fails if we lead a session already, which is equivalent */
    setpriority(PRIO_PROCESS, 0, 0); /* fails if we may not raise the priority */
    unsigned long long disk = disk_bytes ? disk_bytes : no_more;
    if (limit(RLIMIT_CORE, disk) < 0 || limit(RLIMIT_FSIZE, disk) < 0)
        return -1;
    if (limit(RLIMIT_MEMLOCK, LOCKED_BYTES) < 0 || limit(RLIMIT_MSGQUEUE, QUEUED_BYTES) < 0)
        return -1;
    /* The last two forbid real-time and raised priorities. */
    return limit(RLIMIT_SIGPENDING, PENDING_SIGNALS) < 0 || limit(RLIMIT_RTPRIO, 0) < 0 || limit(RLIMIT_NICE, 0) < 0
               ? -1
               : 0;
}

int inherit_processes(unsigned long long count)
{
    return limit(RLIMIT_NPROC, count ? count : no_more);
}
