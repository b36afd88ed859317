/*
 * landlock - what a process may open and reach that its user could, by the kernel's Landlock.
 *
 * It needs neither root nor namespaces, so it is what keeps tasks from the files of the service
 * where there is nothing else: a task opens the programs of the machine for reading, and its
 * own directory for reading and writing. `struct landlock` holds such a list; each task gets a
 * rule set made of it, with rights to the very files that are its input and outputs, which lie
 * anywhere (`/dev/stdin`, `> /dev/stderr`).
 *
 * Rights go down from a directory to all that is below, and cannot be taken back there: so
 * what shall not be seen must not lie below what is. Landlock looks at opening, making and
 * removing, not at chmod, stat and the like.
 *
 * Two more things come with it: a task traces no process outside of its rule set, and (Linux
 * 6.12) reaches no abstract unix socket there and sends it no signal.
 */
#ifndef REMORA_LANDLOCK_H
#define REMORA_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

enum { LANDLOCK_PLACES = 96, LANDLOCK_SCOPES = 6 };

enum landlock_use {
    LANDLOCK_READ,   /* read, list and execute */
    LANDLOCK_WRITE,  /* that, and whatever the owner of a directory may do, but for devices */
    LANDLOCK_DEVICE, /* read and write, of a file that is there */
    LANDLOCK_SHARE   /* make, read, write and remove files whose names one knows */
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

/* The version that the kernel knows; 0 for none. From LANDLOCK_SCOPES on it keeps sockets and signals apart. */
int landlock_version(void);

/* Keep this process and all that it will start from abstract sockets of others. Returns whether they are. */
int landlock_forbid_sockets(void);

/* Add to the list whatever is at `path`, if anything is. Returns 0, or -1 with errno. */
int landlock_allow(struct landlock *list, const char *path, enum landlock_use use);

/*
 * landlock_rules - a rule set of the list, and of the input fds[0] and the outputs fds[1] and fds[2].
 *
 * Returns a descriptor, close-on-exec, for landlock_enter; -1 with errno.
 */
int landlock_rules(const struct landlock *list, const int fds[3]);

/* Live by a rule set from here on. Wants no_new_privs; calls nothing but the kernel. Returns 0, or -1 with errno. */
int landlock_enter(int rules);

#endif
