#include "sort/complain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MEBIBYTE = 1024 * 1024 };

__attribute__((format(printf, 2, 3))) static int fail(struct sorter *sorter, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sorter->why, sizeof sorter->why, format, arguments);
    va_end(arguments);
    return -1;
}

int complain_read(struct sorter *sorter, const char *name)
{
    return fail(sorter, "cannot read %s: %s", name, strerror(errno));
}

int complain_long(struct sorter *sorter, const char *name, uint64_t offset)
{
    return fail(sorter, "%s: the line at byte %" PRIu64 " is longer than %d MiB", name, offset,
                LINE_MAX_BYTES / MEBIBYTE);
}

int complain_source(struct sorter *sorter, const char *name, enum source_result why, const struct source *source)
{
    if (why == SOURCE_MEMORY)
        return complain_memory(sorter);
    if (!name)
        return complain_run(sorter);
    return why == SOURCE_LONG ? complain_long(sorter, name, source->next) : complain_read(sorter, name);
}

int complain_memory(struct sorter *sorter)
{
    return fail(sorter, "no memory (try a smaller -S)");
}

int complain_samples(struct sorter *sorter)
{
    return fail(sorter, "the lines to be divided do not fit into memory (try a larger -S)");
}

int complain_run(struct sorter *sorter)
{
    return fail(sorter, "cannot use a temporary file in %s: %s", sorter->directory, strerror(errno));
}

int complain_output(struct sorter *sorter)
{
    sorter->is_unread = errno == EPIPE;
    return fail(sorter, "cannot write %s: %s", sorter->output ? sorter->output : "standard output", strerror(errno));
}
