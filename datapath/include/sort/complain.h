/*
 * complain - the sentences for what can fail in a sort. Each returns -1.
 */
#ifndef REMORA_COMPLAIN_H
#define REMORA_COMPLAIN_H

#include "sort/sorter.h"
#include "sort/source.h"

/* complain_read - errno says why a file cannot be read. */
int complain_read(struct sorter *sorter, const char *name);

/* complain_long - the line that begins at a byte of a file is too long. */
int complain_long(struct sorter *sorter, const char *name, uint64_t offset);

/* complain_source - reading a source has failed; a temporary file has no name. */
int complain_source(struct sorter *sorter, const char *name, enum source_result why, const struct source *source);

int complain_memory(struct sorter *sorter);

/* complain_samples - lines that are to be divided into parts do not fit into the block. */
int complain_samples(struct sorter *sorter);

/* complain_run - errno says why a temporary file cannot be used. */
int complain_run(struct sorter *sorter);

/* complain_output - errno says why the output cannot be written. */
int complain_output(struct sorter *sorter);

#endif
