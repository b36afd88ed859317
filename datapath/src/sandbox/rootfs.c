#include "sandbox/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sandbox/hostview.h"

/* C libraries before 2.36 lack these calls and their constants. */
enum { CLONE_TREE = 1, FROM_DESCRIPTOR = 4, RECURSIVE = 0x8000 };
enum { READ_ONLY = 1, NO_SUID = 2, NO_DEV = 4 };
struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

enum { MAX_TREES = 160, MAX_NAME = 256, CGROUP_2 = 0x63677270 };

/* A tree cloned from the host, to be attached at `target`, relative to the new root. */
struct tree {
    char target[MAX_NAME];
    int fd;
};

struct rootfs {
    const struct rootfs_plan *plan;
    uid_t owner;
    struct reason *why;
    struct tree trees[MAX_TREES];
    size_t count;
    int root; /* the clone of WORK/root */
};

static int set_attributes(int tree, uint64_t set)
{
    struct attributes wanted = {.set = set};

    if (!set)
        return 0;
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | RECURSIVE, &wanted, sizeof wanted);
}

static int clone_tree(const char *path, uint64_t attributes)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, CLONE_TREE | O_CLOEXEC | RECURSIVE | AT_SYMLINK_NOFOLLOW);

    if (fd >= 0 && set_attributes(fd, attributes) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int attach(int tree, const char *target)
{
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target, FROM_DESCRIPTOR);
}

/* Keep a clone for later; we own it from here on. */
static int keep(struct rootfs *fs, int tree, const char *target)
{
    if (fs->count == MAX_TREES || strlen(target) >= MAX_NAME) {
        close(tree);
        errno = E2BIG;
        return reason_errno(fs->why, "mounting /%s", target);
    }
    fs->trees[fs->count].fd = tree;
    strcpy(fs->trees[fs->count++].target, target);
    return 0;
}

static int collect(struct rootfs *fs, const char *source, const char *target, uint64_t attributes)
{
    int tree = clone_tree(source, attributes);

    if (tree < 0)
        return reason_errno(fs->why, "cloning the mount of %s", source);
    return keep(fs, tree, target);
}

static int make_directory(struct rootfs *fs, const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return reason_errno(fs->why, "making %s", path);
    if (chmod(path, mode) < 0 || chown(path, fs->owner, fs->owner) < 0)
        return reason_errno(fs->why, "giving %s to the tasks", path);
    return 0;
}

static int make_file(struct rootfs *fs, const char *path)
{
    int fd = open(path, O_CREAT | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return reason_errno(fs->why, "making %s", path);
    close(fd);
    return 0;
}

static int copy_link(struct rootfs *fs, const char *source, const char *name)
{
    char target[PATH_MAX], path[PATH_MAX];
    ssize_t length = readlink(source, target, sizeof target - 1);

    if (length < 0)
        return reason_errno(fs->why, "reading the link %s", source);
    target[length] = '\0';
    snprintf(path, sizeof path, "root/%s", name);
    return symlink(target, path) < 0 ? reason_errno(fs->why, "making the link %s", path) : 0;
}

/* Clone a directory of the host, under its own name; one that is missing or inaccessible is left out. */
static int collect_own_name(struct rootfs *fs, const char *path)
{
    int tree = clone_tree(path, READ_ONLY | NO_SUID | NO_DEV);

    return tree < 0 ? 0 : keep(fs, tree, path + 1);
}

static int collect_program(struct rootfs *fs, const char *name)
{
    char path[NAME_MAX + 2];
    struct stat status;

    snprintf(path, sizeof path, "/%s", name);
    if (lstat(path, &status) < 0)
        return 0;
    if (S_ISLNK(status.st_mode))
        return copy_link(fs, path, name);
    return S_ISDIR(status.st_mode) ? collect_own_name(fs, path) : 0;
}

static int collect_group(struct rootfs *fs)
{
    struct statfs status;

    if (statfs(fs->plan->group, &status) < 0)
        return reason_errno(fs->why, "looking at %s", fs->plan->group);
    return collect(fs, fs->plan->group, status.f_type == CGROUP_2 ? "sys/fs/cgroup" : "sys/fs/cgroup/memory",
                   READ_ONLY | NO_SUID | NO_DEV);
}

static int collect_host(struct rootfs *fs)
{
    char path[PATH_MAX];

    for (const char *const *name = hostview_programs(); *name; name++)
        if (collect_program(fs, *name) < 0)
            return -1;
    for (size_t i = 0; i < fs->plan->added; i++)
        if (!hostview_is_program(fs->plan->also[i]) && collect_own_name(fs, fs->plan->also[i]) < 0)
            return -1;
    if (hostview_resolver(path, sizeof path) && collect_own_name(fs, path) < 0)
        return -1;
    for (const char *const *name = hostview_system(); *name; name++) {
        snprintf(path, sizeof path, "/%s", *name);
        if (collect_own_name(fs, path) < 0)
            return -1;
    }
    return fs->plan->group ? collect_group(fs) : 0;
}

static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
enum { DEVICES = sizeof devices / sizeof *devices };

static int collect_devices(struct rootfs *fs)
{
    for (size_t i = 0; i < DEVICES; i++) {
        char path[MAX_NAME];
        snprintf(path, sizeof path, "/dev/%s", devices[i]);
        if (collect(fs, path, path + 1, NO_SUID) < 0)
            return -1;
    }
    return 0;
}

static int collect_shown(struct rootfs *fs)
{
    for (size_t i = 0; i < fs->plan->shown; i++) {
        const struct rootfs_show *show = &fs->plan->show[i];
        char target[MAX_NAME];
        if (snprintf(target, sizeof target, ".remora/%s", show->name) >= MAX_NAME) {
            errno = ENAMETOOLONG;
            return reason_errno(fs->why, "showing %.40s...", show->name);
        }
        if (collect(fs, show->source, target, READ_ONLY | NO_SUID | NO_DEV) < 0)
            return -1;
    }
    return 0;
}

/* The first half, with the host's paths and WORK as working directory. */
static int collect_all(struct rootfs *fs)
{
    const struct rootfs_plan *plan = fs->plan;

    if (mkdir("root", 0755) < 0)
        return reason_errno(fs->why, "making %s/root", plan->work);
    if (make_directory(fs, "root", 0755) < 0 || make_directory(fs, "assets", 0755) < 0 ||
        make_directory(fs, "var-tmp", 01777) < 0)
        return -1;
    if (mkdir("input", 0755) < 0 && errno != EEXIST)
        return reason_errno(fs->why, "making %s/input", plan->work);
    /* /proc stays writable here: the kernel refuses a fresh one where only a read-only one was seen. */
    if (collect_host(fs) < 0 || collect(fs, "/proc", "proc", 0) < 0)
        return -1;
    if (collect(fs, "input", "manta", READ_ONLY | NO_SUID | NO_DEV) < 0 ||
        collect(fs, "assets", "assets", NO_SUID | NO_DEV) < 0 ||
        collect(fs, "var-tmp", "var/tmp", NO_SUID | NO_DEV) < 0)
        return -1;
    if (plan->tools && collect(fs, plan->tools, ".remora/bin", READ_ONLY | NO_SUID | NO_DEV) < 0)
        return -1;
    if (plan->agent_socket && collect(fs, plan->agent_socket, ".remora/agent.sock", NO_SUID | NO_DEV) < 0)
        return -1;
    if (collect_shown(fs) < 0)
        return -1;
    if (collect_devices(fs) < 0)
        return -1;
    fs->root = clone_tree("root", NO_SUID | NO_DEV);
    return fs->root < 0 ? reason_errno(fs->why, "cloning the mount of %s/root", plan->work) : 0;
}

/* The switch: afterwards the host's tree is gone and `/` is WORK/root. */
static int enter(struct rootfs *fs)
{
    if (attach(fs->root, "root") < 0 || fchdir(fs->root) < 0)
        return reason_errno(fs->why, "mounting the root");
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return reason_errno(fs->why, "changing the root");
    return 0;
}

/* Make the file or directory to which a tree is attached, and its parents. */
static int make_place(struct rootfs *fs, const struct tree *tree)
{
    char path[MAX_NAME];
    struct stat status;

    strcpy(path, tree->target);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = access(path, F_OK) == 0 ? 0 : make_directory(fs, path, 0755);
        *slash = '/';
        if (made < 0)
            return -1;
    }
    if (fstat(tree->fd, &status) < 0)
        return reason_errno(fs->why, "looking at what becomes /%s", path);
    return S_ISDIR(status.st_mode) ? make_directory(fs, path, 0755) : make_file(fs, path);
}

/* Directories that hold nothing but places of mounts: in memory, where they cost little to make and nothing to remove. */
static const char *const of_mounts[] = {".remora", "sys"};
enum { OF_MOUNTS = sizeof of_mounts / sizeof *of_mounts };

static int make_directories_of_mounts(struct rootfs *fs)
{
    for (size_t i = 0; i < OF_MOUNTS; i++) {
        if (make_directory(fs, of_mounts[i], 0755) < 0)
            return -1;
        if (mount("tmpfs", of_mounts[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64k") < 0)
            return reason_errno(fs->why, "mounting /%s", of_mounts[i]);
    }
    return 0;
}

static int make_directories(struct rootfs *fs)
{
    static const struct {
        const char *path;
        mode_t mode;
    } wanted[] = {{"tmp", 01777},  {"root", 0700}, {"home", 0755}, {"run", 0755},   {"mnt", 0755},
                  {"media", 0755}, {"proc", 0755}, {"dev", 0755},  {"manta", 0755}, {"assets", 0755}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (make_directory(fs, wanted[i].path, wanted[i].mode) < 0)
            return -1;
    if (make_directories_of_mounts(fs) < 0)
        return -1;
    for (size_t i = 0; i < fs->count; i++) {
        const struct tree *tree = &fs->trees[i];
        if (strncmp(tree->target, "dev/", 4) != 0 && make_place(fs, tree) < 0)
            return -1;
    }
    return 0;
}

static int make_device_directory(struct rootfs *fs)
{
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"},
                                           {"pts/ptmx", "dev/ptmx"}};

    if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k") < 0)
        return reason_errno(fs->why, "mounting /dev");
    if (make_directory(fs, "dev/pts", 0755) < 0 || make_directory(fs, "dev/shm", 01777) < 0)
        return -1;
    if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") < 0)
        return reason_errno(fs->why, "mounting /dev/pts");
    if (mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m") < 0)
        return reason_errno(fs->why, "mounting /dev/shm");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return reason_errno(fs->why, "making /%s", links[i][1]);
    for (size_t i = 0; i < DEVICES; i++) {
        char path[MAX_NAME];
        snprintf(path, sizeof path, "dev/%s", devices[i]);
        if (make_file(fs, path) < 0)
            return -1;
    }
    return 0;
}

static int attach_all(struct rootfs *fs)
{
    for (size_t i = 0; i < fs->count; i++) {
        struct tree *tree = &fs->trees[i];
        /* A host whose whole /var is shown, and that has no real /var/tmp, gives its tasks none either. */
        if (attach(tree->fd, tree->target) < 0 && strcmp(tree->target, "var/tmp") != 0)
            return reason_errno(fs->why, "mounting /%s", tree->target);
        close(tree->fd);
    }
    return 0;
}

/* ENOENT: it lies below a path that tasks do not see anyway. */
static int hide(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    if (S_ISDIR(status.st_mode))
        return mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=555,size=4k");
    return mount("dev/null", path, NULL, MS_BIND, NULL);
}

static int hide_all(struct rootfs *fs)
{
    for (size_t i = 0; i < fs->plan->hidden; i++)
        if (hide(fs->plan->hide[i]) < 0)
            return reason_errno(fs->why, "hiding %s", fs->plan->hide[i]);
    return 0;
}

static int seal(struct rootfs *fs, const char *path, unsigned long flags)
{
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | flags, NULL) < 0)
        return reason_errno(fs->why, "making /%s read-only", path);
    return 0;
}

/* Directories in memory are made read-only when they are complete; mounts below them are not affected. */
static int seal_all(struct rootfs *fs)
{
    for (size_t i = 0; i < OF_MOUNTS; i++)
        if (seal(fs, of_mounts[i], MS_NODEV) < 0)
            return -1;
    return seal(fs, "dev", 0);
}

int rootfs_build(const struct rootfs_plan *plan, uid_t owner, struct reason *why)
{
    static struct rootfs fs; /* static for its size: a process builds one root in its life */

    fs.plan = plan;
    fs.owner = owner;
    fs.why = why;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return reason_errno(why, "making mounts private");
    if (chdir(plan->work) < 0)
        return reason_errno(why, "entering %s", plan->work);
    if (collect_all(&fs) < 0 || enter(&fs) < 0 || make_directories(&fs) < 0 || make_device_directory(&fs) < 0)
        return -1;
    if (attach_all(&fs) < 0 || hide_all(&fs) < 0)
        return -1;
    return seal_all(&fs);
}
