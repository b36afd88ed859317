/*
 * rootfs - the file system that tasks of an instance see.
 *
 * Idea: the root is an ordinary directory of the instance, WORK/root, so that whatever a
 * task leaves in `/`, `/tmp` or `/root` lies below WORK, is accounted, and goes away with
 * it. Of the host, only what is on a list is mounted into it, read-only: directories with
 * programs, and what the operator adds. Data of the machine, of its users and of the service
 * lies elsewhere, and so is not there at all.
 *
 *   /bin /etc /lib /opt /usr ...  the host's (hostview_programs), with all that is mounted below
 *   DIR                           further directories of the host, under their own names
 *   / /tmp /root                  WORK/root and directories in it, writable
 *   /var/tmp /assets              WORK/var-tmp, WORK/assets, writable
 *   /manta                        WORK/input, read-only: what the agent links there appears
 *   /home /run /mnt /media        empty
 *   /dev                          null zero full random urandom tty, pts, shm (64 MiB), fd links
 *   /proc                         the host's, to be covered by the instance's own
 *   /sys                          how many processors and memory nodes there are, and the
 *                                 instance's own control group where the machine has groups
 *   /.remora/bin, agent.sock      the tools, read-only, and the agent's socket
 *   /.remora/NAME                 whatever else of the host is to be shown, read-only
 *
 * A directory that the kernel will not let us mount is left out. The file that says who
 * resolves names is shown where /etc says it is. What is hidden, which is what the
 * service has below shown directories, is covered by something empty.
 *
 * It is built in two halves. First every tree is cloned by path into a descriptor, while
 * the host's names still mean what they say; then WORK/root becomes the root, the host is
 * gone, and the clones are attached below it. So no mount shows up inside another one by
 * accident, and no symbolic link of the host can lead an attachment astray.
 *
 * Whoever enters a user namespace *after* this cannot undo any of it: the kernel locks
 * mounts, and their read-only flags, that come from a more privileged namespace.
 */
#ifndef REMORA_ROOTFS_H
#define REMORA_ROOTFS_H

#include <stddef.h>
#include <sys/types.h>

#include "reason.h"

enum { ROOTFS_MAX_HIDE = 16, ROOTFS_MAX_SHOW = 48 };

/* A file or directory of the host, absolute and no link, to be seen read-only at /.remora/NAME. */
struct rootfs_show {
    const char *name;
    const char *source;
};

struct rootfs_plan {
    const char *work;                  /* absolute; must not hold a `root` from an earlier instance */
    const char *tools;                 /* directory of the tools, or NULL */
    const char *agent_socket;          /* or NULL */
    const char *hide[ROOTFS_MAX_HIDE]; /* files and directories to be covered: absolute, no links in them */
    size_t hidden;
    struct rootfs_show show[ROOTFS_MAX_SHOW];
    size_t shown;
    const char *also[ROOTFS_MAX_SHOW]; /* directories of the host to be seen under their own names: as `hide` */
    size_t added;
    const char *group; /* directory of the instance's memory control group, or NULL */
};

/*
 * rootfs_build - make it and make it the root of the calling process.
 *
 * The caller is alone in a fresh mount namespace that it has CAP_SYS_ADMIN over. What
 * is writable will belong to `owner` (user and group). Returns 0, or -1 with `why`; the
 * namespace is then of no use, and WORK/root may be left.
 */
int rootfs_build(const struct rootfs_plan *plan, uid_t owner, struct reason *why);

#endif
