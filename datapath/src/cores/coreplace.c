#include "cores/coreplace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lackey/beneath.h"
#include "cores/corewatch.h"

/* The path at which the agent finds a file that tasks of this instance know as `path`. */
static void tell(const struct coreplace *place, const char *path, char *told, size_t size)
{
    told[0] = '\0';
    for (; place->inside; place++) {
        size_t length = strlen(place->inside);
        if (strncmp(path, place->inside, length) != 0)
            continue;
        if (place->told)
            snprintf(told, size, "%s%s", place->told, path + length);
        return;
    }
}

/* Tasks made the directories on the way, which are not trusted. The new owner is
 * the agent's user outside, who is to read the file. */
static int rename_beneath(const char *directory, const char *name, const char *kept)
{
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int place = root < 0 ? -1 : beneath_directory(root, directory[1] ? directory + 1 : ".");
    int result = place < 0 ? -1 : renameat(place, name, place, kept);

    if (result == 0 && fchownat(place, kept, geteuid(), getegid(), AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
        result = -1; /* EPERM: without namespaces it is ours, or cannot be */
    close(place);
    close(root);
    return result;
}

void coreplace_keep(const struct coreplace *places, const char *path, uint64_t task, char *told, size_t size)
{
    char directory[COREWATCH_PATH], name[32], kept[COREWATCH_PATH + 32];
    const char *slash = strrchr(path, '/');

    snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    snprintf(name, sizeof name, ".core.%llu", (unsigned long long)task);
    snprintf(kept, sizeof kept, "%.*s/%s", (int)(slash - path), path, name);
    tell(places, rename_beneath(directory, slash + 1, name) == 0 ? kept : path, told, size);
}
