#include "sandbox/confine.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/hostview.h"

/* Allow each of the names below `/`. */
static int allow_below_root(struct landlock *files, const char *const *names)
{
    char path[PATH_MAX];

    for (; *names; names++) {
        snprintf(path, sizeof path, "/%s", *names);
        if (landlock_allow(files, path, LANDLOCK_READ) < 0)
            return -1;
    }
    return 0;
}

/* Files below the directories of programs need no rule. */
static int allow_shown(struct landlock *files, const char *path)
{
    return hostview_is_program(path) ? 0 : landlock_allow(files, path, LANDLOCK_READ);
}

static int allow_plan(const struct rootfs_plan *plan, struct landlock *files)
{
    const char *single[] = {plan->tools, plan->group, "input"};

    for (size_t i = 0; i < plan->added; i++)
        if (allow_shown(files, plan->also[i]) < 0)
            return -1;
    for (size_t i = 0; i < plan->shown; i++)
        if (allow_shown(files, plan->show[i].source) < 0)
            return -1;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (single[i] && landlock_allow(files, single[i], LANDLOCK_READ) < 0)
            return -1;
    return landlock_allow(files, "root", LANDLOCK_WRITE) < 0 ? -1 : landlock_allow(files, "assets", LANDLOCK_WRITE);
}

static int allow_machine(struct landlock *files)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero",    "/dev/full", "/dev/random",
                                          "/dev/tty",  "/dev/urandom", "/dev/ptmx", "/dev/pts"};
    char resolver[PATH_MAX];

    if (allow_below_root(files, hostview_programs()) < 0 || allow_below_root(files, hostview_system()) < 0)
        return -1;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (landlock_allow(files, devices[i], LANDLOCK_DEVICE) < 0)
            return -1;
    if (hostview_resolver(resolver, sizeof resolver) && landlock_allow(files, resolver, LANDLOCK_READ) < 0)
        return -1;
    return landlock_allow(files, "/proc", LANDLOCK_READ) < 0 ? -1 : landlock_allow(files, "/dev/shm", LANDLOCK_SHARE);
}

/* Make a directory, or a link to `target`, unless it exists. */
static int make(const char *path, const char *target)
{
    int result = target ? symlink(target, path) : mkdir(path, 0755);

    return result < 0 && errno != EEXIST ? -1 : 0;
}

int confine(const struct rootfs_plan *plan, struct landlock *files, struct reason *why)
{
    if (chdir(plan->work) < 0 || make("root", NULL) < 0 || make("assets", NULL) < 0 ||
        make("root/assets", "../assets") < 0)
        return reason_errno(why, "making a directory for tasks");
    files->version = landlock_version();
    if (!files->version)
        return 0;
    if (allow_plan(plan, files) < 0 || allow_machine(files) < 0)
        return reason_errno(why, "listing what tasks may open");
    return PASS_HOLDS_FILES | (files->version < LANDLOCK_SCOPES ? 0 : PASS_HOLDS_SOCKETS | PASS_HOLDS_SIGNALS);
}

const char *confine_directory(const char *work)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/root", work);
    return path;
}
