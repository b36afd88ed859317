#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lackey/inherit.h"
#include "protocol/pass.h"
#include "sandbox/callfilter.h"
#include "sandbox/landlock.h"
#include "sandbox/procmask.h"

/* A pipe by which builder and process 1 report the reason of a failure to the monitor; silence is success. */
struct report {
    int in, out;
};

static _Noreturn void fail(struct report *report, const struct reason *why)
{
    if (write(report->in, why->text, strlen(why->text)) < 0)
        _exit(2); /* the monitor is gone, and no process reads this */
    _exit(1);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

/* The map of a namespace: its users and groups, from 0, are these and the following of the namespace above. */
struct users {
    uid_t first;
    gid_t first_group;
    unsigned count;
};

static int write_map(pid_t pid, const char *name, unsigned first, unsigned count, struct reason *why)
{
    char path[64], map[64];
    int length = snprintf(map, sizeof map, "0 %u 1\n", first);

    /* User 0 apart: what a line says must lie in one line of the map above, and newuidmap's has user 0 apart. */
    if (count > 1)
        snprintf(map + length, sizeof map - (size_t)length, "1 %u %u\n", first + 1, count - 1);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return write_file(path, map) < 0 ? reason_errno(why, "writing %s", path) : 0;
}

static int map_users(pid_t pid, struct users users, struct reason *why)
{
    if (write_map(pid, "uid_map", users.first, users.count, why) < 0)
        return -1;
    return write_map(pid, "gid_map", users.first_group, users.count, why);
}

/* Continue in a child with new namespaces, a user namespace among them: a sibling.
 * The caller maps its users, and ends. */
static void go_on_in(unsigned long namespaces, struct users users, struct report *report, pid_t *self,
                     struct reason *why)
{
    unsigned long flags = namespaces | CLONE_NEWUSER | CLONE_PARENT | SIGCHLD;
    int go[2];

    if (pipe2(go, O_CLOEXEC) < 0) {
        reason_errno(why, "making a pipe");
        fail(report, why);
    }
    pid_t child = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (child == 0) {
        close(go[1]);
        if (read(go[0], self, sizeof *self) != sizeof *self)
            _exit(2); /* the parent failed and has said why */
        close(go[0]);
        return;
    }
    if (child < 0) {
        reason_errno(why, "making the instance's namespaces");
        fail(report, why);
    }
    if (map_users(child, users, why) < 0)
        fail(report, why);
    _exit(write(go[1], &child, sizeof child) == sizeof child ? 0 : 2);
}

static int enter_users(const char *path, struct reason *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return reason_errno(why, "opening %s", path);
    int entered = setns(fd, CLONE_NEWUSER);
    if (entered < 0)
        reason_errno(why, "entering the user namespace %s", path);
    close(fd);
    return entered;
}

/* Enter a new mount namespace; `users` becomes the map from the instance's users to its own. */
static int own_mounts(const struct sandbox_plan *plan, struct users *users, struct report *report, pid_t *self,
                      struct reason *why)
{
    struct users caller = {.first = geteuid(), .first_group = getegid(), .count = 1};

    *users = (struct users){.count = plan->users ? SANDBOX_USERS : 1};
    if (plan->users) {
        if (enter_users(plan->users, why) < 0)
            return -1;
        go_on_in(CLONE_NEWNS, *users, report, self, why); /* once more: that one counts processes for all instances */
        return 0;
    }
    if (caller.first == 0 && plan->uid_base && unshare(CLONE_NEWNS) == 0) {
        *users = (struct users){.first = plan->uid_base, .first_group = plan->uid_base, .count = SANDBOX_USERS};
        return 0;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return reason_errno(why, "making user and mount namespaces");
    if (write_file("/proc/self/setgroups", "deny") < 0)
        return reason_errno(why, "giving up setgroups");
    return map_users(getpid(), caller, why);
}

/* Become user 0, without the caller's other groups, now that users are mapped. With
 * one user there are no more groups. */
static int become_user_0(unsigned users, struct reason *why)
{
    if (users > 1 && (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        return reason_errno(why, "becoming user 0");
    return 0;
}

/* Die with the monitor; if it is dead already, no process reads its pipe. */
static int die_with_monitor(struct report *report, struct reason *why)
{
    struct pollfd reader = {.fd = report->in};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return reason_errno(why, "binding the instance to its monitor");
    if (poll(&reader, 1, 0) > 0 && reader.revents & POLLERR)
        _exit(2);
    return 0;
}

/* Memory that programs share by name lies in no process. Kernels before 6.9 keep their large limits. */
static void limit_shared_memory(void)
{
    static const char *const limits[][2] = {{"shmall", "16384"}, {"msgmni", "64"}, {"sem", "250 32000 32 128"}};
    char path[64];

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        snprintf(path, sizeof path, "/proc/sys/kernel/%s", limits[i][0]);
        write_file(path, limits[i][1]);
    }
}

static int start_process_1(struct report *report, unsigned users, struct reason *why)
{
    if (become_user_0(users, why) < 0)
        return -1;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return reason_errno(why, "mounting /proc");
    /* Forbid further user namespaces: most holes of recent years began in one. Mounts are locked without this too. */
    if (write_file("/proc/sys/user/max_user_namespaces", "0") < 0 && errno != ENOENT)
        return reason_errno(why, "closing user namespaces");
    limit_shared_memory();
    if (procmask_apply(why) < 0)
        return -1;
    return die_with_monitor(report, why);
}

/* The builder. Returns only in process 1. */
static void build(const struct sandbox_plan *plan, struct report *report, pid_t *self, struct reason *why)
{
    unsigned long namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    struct users users;

    if (own_mounts(plan, &users, report, self, why) < 0 || rootfs_build(&plan->rootfs, users.first, why) < 0)
        fail(report, why);
    /* The limit of a user namespace's maker applies to all its users together
     * (Linux 5.14; not if the maker is root). */
    if (inherit_processes(plan->processes) < 0) {
        reason_errno(why, "limiting processes");
        fail(report, why);
    }
    go_on_in(namespaces, users, report, self, why);
    if (start_process_1(report, users.count, why) < 0)
        fail(report, why);
}

/* Wait until all are gone; returns the status of the last that ended, as a shell reports it. */
static int last_status(void)
{
    int status = 0, last = 0;
    pid_t pid;

    while ((pid = wait(&status)) > 0 || errno == EINTR)
        if (pid > 0)
            last = status;
    return WIFSIGNALED(last) ? 128 + WTERMSIG(last) : WEXITSTATUS(last);
}

/* The monitor. Returns only if there is no instance. */
static void monitor(int report, struct reason *why)
{
    size_t length = 0;
    ssize_t got;

    while ((got = read(report, why->text + length, sizeof why->text - 1 - length)) > 0 || (got < 0 && errno == EINTR))
        length += got > 0 ? (size_t)got : 0;
    why->text[length] = '\0';
    if (length == 0) {
        /* All descriptors but the standard streams belong to process 1 now: above all the socket. */
        close_range(3, ~0U, 0);
        exit(last_status());
    }
    last_status();
}

int sandbox_enter(const struct sandbox_plan *plan, pid_t *self, struct reason *why)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return reason_errno(why, "making a pipe");
    struct report report = {.in = ends[1], .out = ends[0]};
    pid_t builder = fork();
    if (builder == 0) {
        build(plan, &report, self, why);
        close(report.in);
        close(report.out);
        return 0;
    }
    close(report.in);
    if (builder < 0) {
        reason_errno(why, "forking");
        close(report.out);
        return -1;
    }
    monitor(report.out, why);
    close(report.out);
    return -1;
}

/* All below 32: the first word of a set. */
static const uint32_t kept_inside = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
                                    1u << CAP_KILL | 1u << CAP_SETGID | 1u << CAP_SETUID;

static int set_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.permitted = kept, .effective = kept}};

    return (int)syscall(SYS_capset, &header, data);
}

int sandbox_drop(int inside, struct reason *why)
{
    uint32_t kept = inside ? kept_inside : 0;

    for (int capability = 0, bound; (bound = prctl(PR_CAPBSET_READ, capability)) >= 0; capability++) {
        int keep = !bound || (capability < 32 && kept >> capability & 1);
        /* A process that may not change the bound has no capability that no_new_privs would let it regain. */
        if (!keep && prctl(PR_CAPBSET_DROP, capability) < 0 && (inside || errno != EPERM))
            return reason_errno(why, "dropping capability %d", capability);
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return reason_errno(why, "clearing ambient capabilities");
    return set_capabilities(kept) < 0 ? reason_errno(why, "dropping capabilities") : 0;
}

int sandbox_leave_keyring(struct reason *why)
{
    enum { JOIN_SESSION_KEYRING = 1 };

    /* EPERM: a filter of the process that started us refuses it, and tasks inherit that filter as well. */
    if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS || errno == EPERM)
        return 0;
    return reason_errno(why, "leaving the session keyring");
}

int sandbox_harden(int inside, struct reason *why)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return reason_errno(why, "setting no_new_privs");
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return reason_errno(why, "becoming untraceable");
    int held = inside && landlock_forbid_sockets() ? PASS_HOLDS_SOCKETS : 0;
    int filtered = callfilter_install(inside, why);
    if (filtered < 0)
        return -1;
    return held | (filtered ? PASS_HOLDS_CALLS : 0);
}
