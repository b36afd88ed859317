/*
 * rootfs - the root file system of an instance.
 *
 * Idea: the root is an ordinary directory of the instance, WORK/root, so that files that a
 * task leaves in `/`, `/tmp` or `/root` lie below WORK, are accounted, and are removed with
 * it. Of the host, only listed directories are mounted into it, read-only: those with
 * programs, and those that the operator adds. Data of the machine, of its users and of the
 * service lies elsewhere, and is not there at all.
 *
 *   /bin /etc /lib /opt /usr ...  the host's (hostview_programs), with all that is mounted below
 *   DIR                           further directories of the host, under their own names
 *   / /tmp /root                  WORK/root and directories in it, writable
 *   /var/tmp /assets              WORK/var-tmp, WORK/assets, writable
 *   /manta                        WORK/input, read-only: files appear when the agent links them
 *   /home /run /mnt /media        empty
 *   /dev                          null zero full random urandom tty, pts, shm (64 MiB), fd links
 *   /proc                         the host's, to be covered by the instance's own
 *   /sys                          how many processors and memory nodes there are, and the
 *                                 instance's own control group where the machine has groups
 *   /.remora/bin, agent.sock      the tools, read-only, and the agent's socket
 *   /.remora/NAME                 other shown files of the host, read-only
 *
 * /dev, /sys and /.remora themselves are small memory file systems, and read-only: a directory on
 * disk costs more to make and to remove than to mount, and there were twenty of them.
 *
 * A directory that the kernel does not let us mount is left out. The resolver
 * configuration is shown at the path to which /etc/resolv.conf leads. Hidden paths,
 * which are those of the service below shown directories, are covered by empty files
 * and directories.
 *
 * It is built in two halves. First every tree is cloned by path into a descriptor, while
 * the host's paths are still valid; then WORK/root becomes the root, the host is gone,
 * and the clones are attached below it. So no mount shows up inside another one by
 * accident, and no symbolic link of the host can redirect an attachment.
 *
 * A process that enters a user namespace *after* this cannot undo any of it: the kernel locks
 * mounts, and their read-only flags, that come from a more privileged namespace.
 */
#ifndef REMORA_ROOTFS_H
#define REMORA_ROOTFS_H

#include <stddef.h>
#include <sys/types.h>

#include "sandbox/reason.h"

enum { ROOTFS_MAX_HIDE = 16, ROOTFS_MAX_SHOW = 48 };

/* A file or directory of the host, absolute and no link, shown read-only at /.remora/NAME. */
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
    const char *also[ROOTFS_MAX_SHOW]; /* directories of the host shown under their own names: as `hide` */
    size_t added;
    const char *group; /* directory of the instance's memory control group, or NULL */
};

/*
 * rootfs_build - build the root file system and make it the root of the calling process.
 *
 * The caller is alone in a new mount namespace over which it has CAP_SYS_ADMIN.
 * Writable directories belong to `owner` (user and group). Returns 0, or -1 with `why`;
 * then the namespace is unusable, and WORK/root may be left.
 */
int rootfs_build(const struct rootfs_plan *plan, uid_t owner, struct reason *why);

#endif
