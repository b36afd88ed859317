/*
 * landlock - restrict the files and processes that a process can reach, by the kernel's Landlock.
 *
 * It needs neither root nor namespaces, so it protects the files of the service where nothing
 * else does: a task can open the programs of the machine for reading, and its own directory for
 * reading and writing. `struct landlock` holds such a list; each task gets a rule set made of
 * it, with rights to its own input and output files, wherever they lie (`/dev/stdin`, `>
 * /dev/stderr`).
 *
 * Rights on a directory extend to everything below it, and cannot be taken back there: so
 * hidden files must not lie below shown directories. Landlock controls opening, making and
 * removing, not chmod, stat and the like.
 *
 * It has two further effects: a task cannot trace processes outside of its rule set, and
 * (Linux 6.12) can neither connect to their abstract unix sockets nor signal them.
 */
#ifndef REMORA_LANDLOCK_H
#define REMORA_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

enum { LANDLOCK_PLACES = 96, LANDLOCK_SCOPES = 6 };

enum landlock_use {
    LANDLOCK_READ,   /* read, list and execute */
    LANDLOCK_WRITE,  /* the same, and all that the owner of a directory may do, except devices */
    LANDLOCK_DEVICE, /* read and write an existing file */
    LANDLOCK_SHARE   /* make, read, write and remove files whose names are known */
};

/* Zero at first. */
struct landlock {
    int version; /* of the kernel's interface; 0: none, and then nothing here has an effect */
    size_t count;
    struct {
        int fd;
        uint64_t rights;
    } places[LANDLOCK_PLACES];
};

/* The version that the kernel supports; 0 for none. From LANDLOCK_SCOPES on it isolates sockets and signals. */
int landlock_version(void);

/* Keep this process and its descendants from abstract sockets of others. Returns whether that holds. */
int landlock_forbid_sockets(void);

/* Add the file or directory at `path`, if it exists. Returns 0, or -1 with errno. */
int landlock_allow(struct landlock *list, const char *path, enum landlock_use use);

/*
 * landlock_rules - a rule set of the list, and of the input fds[0] and the outputs fds[1] and fds[2].
 *
 * Returns a descriptor, close-on-exec, for landlock_enter; -1 with errno.
 */
int landlock_rules(const struct landlock *list, const int fds[3]);

/* Apply a rule set to this process. Requires no_new_privs; async-signal-safe. Returns 0, or -1 with errno. */
int landlock_enter(int rules);

#endif
