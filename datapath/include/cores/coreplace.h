/*
 * coreplace - keep a core file in its directory, and report its path to the agent.
 */
#ifndef REMORA_COREPLACE_H
#define REMORA_COREPLACE_H

#include <stddef.h>
#include <stdint.h>

/* What tasks see below `inside`, the agent finds below `told`, relative to the work directory; NULL: nowhere. */
struct coreplace {
    const char *inside, *told;
};

/*
 * coreplace_keep - rename the core file at `path` to `.core.<task>`, so that no later one replaces it, and
 * change its owner to the caller, so that the agent may read it.
 *
 * Writes to `told` the path at which the agent finds it, by the first of `places` that fits
 * (they end with an `inside` of NULL), or "" for nowhere. A file that cannot be renamed is
 * reported under its old name.
 */
void coreplace_keep(const struct coreplace *places, const char *path, uint64_t task, char *told, size_t size);

#endif
