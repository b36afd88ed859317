#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers from the kernel, since headers may be older. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, ASK_VERSION = 1, PATH_BENEATH = 1 };
enum { ABSTRACT_SOCKETS = 1, SIGNALS = 2 };
enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_CHAR = 1 << 6,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK = 1 << 11,
    MAKE_SYM = 1 << 12,
    REFER = 1 << 13,
    TRUNCATE = 1 << 14,
    DEVICE_CONTROL = 1 << 15,
    OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL
};

struct attributes {
    uint64_t files, network, scoped;
};

struct rule {
    uint64_t rights;
    int32_t place;
} __attribute__((packed));

static const uint64_t uses[] = {
    [LANDLOCK_READ] = EXECUTE | READ_FILE | READ_DIR,
    [LANDLOCK_WRITE] = EXECUTE | WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG |
                       MAKE_SOCK | MAKE_FIFO | MAKE_SYM | REFER | TRUNCATE,
    [LANDLOCK_DEVICE] = WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL,
    [LANDLOCK_SHARE] = WRITE_FILE | READ_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE,
};

/* All rights of a version: a right that is not handled is allowed. */
static uint64_t known(int version)
{
    uint64_t rights = REFER - 1;

    if (version >= 2)
        rights |= REFER;
    if (version >= 3)
        rights |= TRUNCATE;
    if (version >= 5)
        rights |= DEVICE_CONTROL;
    return rights;
}

int landlock_version(void)
{
    int version = (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);

    return version < 0 ? 0 : version;
}

/* Fields that a kernel does not know must be zero, or left out. */
static int create(const struct attributes *attributes)
{
    return (int)syscall(CREATE_RULESET, attributes, attributes->scoped ? sizeof *attributes : sizeof attributes->files,
                        0);
}

int landlock_forbid_sockets(void)
{
    struct attributes attributes = {.scoped = ABSTRACT_SOCKETS};
    int rules = landlock_version() < LANDLOCK_SCOPES ? -1 : create(&attributes);

    if (rules < 0)
        return 0;
    int entered = landlock_enter(rules) == 0;
    close(rules);
    return entered;
}

int landlock_allow(struct landlock *list, const char *path, enum landlock_use use)
{
    struct stat status;

    if (list->count == LANDLOCK_PLACES) {
        errno = E2BIG;
        return -1;
    }
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
    uint64_t rights = uses[use] & known(list->version);
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rights &= OF_FILES;
    list->places[list->count].fd = fd;
    list->places[list->count++].rights = rights;
    return 0;
}

static int add(int rules, int place, uint64_t rights)
{
    struct rule rule = {.rights = rights, .place = place};

    return (int)syscall(ADD_RULE, rules, PATH_BENEATH, &rule, 0);
}

/* A file outside of the file systems, such as a pipe, needs no rule. */
static int add_file(int rules, int fd, uint64_t rights)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -1;
    return S_ISREG(status.st_mode) && add(rules, fd, rights) < 0 && errno != EBADFD ? -1 : 0;
}

int landlock_rules(const struct landlock *list, const int fds[3])
{
    uint64_t written = (WRITE_FILE | TRUNCATE) & known(list->version);
    struct attributes attributes = {.files = known(list->version),
                                    .scoped = list->version < LANDLOCK_SCOPES ? 0 : ABSTRACT_SOCKETS | SIGNALS};
    int rules = create(&attributes);

    if (rules < 0)
        return -1;
    int failed = add_file(rules, fds[0], READ_FILE) < 0 || add_file(rules, fds[1], written) < 0 ||
                 add_file(rules, fds[2], written) < 0;
    for (size_t i = 0; i < list->count && !failed; i++)
        failed = add(rules, list->places[i].fd, list->places[i].rights) < 0;
    if (!failed)
        return rules;
    int error = errno;
    close(rules);
    errno = error;
    return -1;
}

int landlock_enter(int rules)
{
    return (int)syscall(RESTRICT_SELF, rules, 0);
}
