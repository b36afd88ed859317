#include "sandbox/procmask.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { KERNEL_FILES = MS_NOSUID | MS_NODEV | MS_NOEXEC };

const char *const *procmask_hidden(void)
{
    static const char *const paths[] = {"/proc/acpi",         "/proc/asound",        "/proc/interrupts",
                                        "/proc/kallsyms",     "/proc/kcore",         "/proc/keys",
                                        "/proc/key-users",    "/proc/latency_stats", "/proc/modules",
                                        "/proc/sched_debug",  "/proc/scsi",          "/proc/slabinfo",
                                        "/proc/timer_list",   "/proc/timer_stats",   "/proc/vmallocinfo",
                                        "/proc/pagetypeinfo", "/proc/dynamic_debug", "/proc/kpagecount",
                                        "/proc/kpageflags",   "/proc/kpagecgroup",   NULL};

    return paths;
}

const char *const *procmask_unchangeable(void)
{
    static const char *const paths[] = {"/proc/bus",  "/proc/driver",        "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/mtrr", "/proc/sysrq-trigger", NULL};

    return paths;
}

static int hide(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return errno == ENOENT ? 0 : -1;
    if (S_ISDIR(status.st_mode))
        return mount("tmpfs", path, "tmpfs", MS_RDONLY | KERNEL_FILES, "mode=555,size=4k");
    return mount("/dev/null", path, NULL, MS_BIND, NULL);
}

static int make_unchangeable(const char *path)
{
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return errno == ENOENT ? 0 : -1;
    return mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | KERNEL_FILES, NULL);
}

int procmask_apply(struct reason *why)
{
    for (const char *const *path = procmask_hidden(); *path; path++)
        if (hide(*path) < 0)
            return reason_errno(why, "hiding %s", *path);
    for (const char *const *path = procmask_unchangeable(); *path; path++)
        if (make_unchangeable(*path) < 0)
            return reason_errno(why, "making %s read-only", *path);
    return 0;
}
