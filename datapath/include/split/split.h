/*
 * split - distribute the lines of one stream to one stream per reducer, by key.
 *
 * Every line goes whole, and in order, to the reducer of its key, so that one reducer
 * gets all lines of a key. A line ends in LF, CR LF or CR, and in LF in the output; a
 * last line without an end gets one.
 *
 * The work for a line is a hash and a copy, both of a few nanoseconds, so all work that
 * can be done for many lines at once is: lines are found in blocks (marks.h), keys are
 * hashed by the hundred (md5.h), output is collected and written in large pieces.
 *
 * Memory is bounded by the input (a buffer of 256 KiB, and of a file a window of 8 MiB)
 * and the outputs (64 to 256 KiB for each reducer, and four to spare). A longer line is
 * written in pieces as soon as its key is known; only a line whose *key* is not known
 * yet must be held, up to the end of the last field that its key needs. A file must not
 * be truncated meanwhile (SIGBUS).
 */
#ifndef REMORA_SPLIT_H
#define REMORA_SPLIT_H

#include <stddef.h>
#include <stdint.h>

enum { SPLIT_REDUCERS = 128 };

/* cffi begin */
enum split_by {
    SPLIT_MD5,  /* first 32 bits of the key's MD5, big-endian, modulo the reducers: as the original msplit */
    SPLIT_XXH3, /* 64-bit XXH3 of the key, modulo the reducers: faster */
    SPLIT_INDEX /* the key is the reducer's number, in decimal */
};

struct keyer;

struct split_spec {
    enum split_by by;
    uint32_t reducers;      /* 1 ... 128 */
    const uint32_t *fields; /* numbers from 1, in the order of the key */
    size_t nfields;         /* 1 ... 256 */
    const char *delimiter;
    size_t delimiter_len; /* not 0; no LF and no CR in it */
    size_t buffer;        /* bytes of the input buffer; 0: a size that is fast */
    struct keyer *keyer;  /* makes the keys (keyer.h), without fields; NULL: the fields do */
};

enum split_result {
    SPLIT_DONE,
    SPLIT_SPEC,  /* the specification is invalid */
    SPLIT_READ,  /* reading the source failed */
    SPLIT_WRITE, /* writing the part of `reducer` failed */
    SPLIT_KEY,   /* SPLIT_INDEX: a key names no reducer; or the keyer has failed */
    SPLIT_MEMORY /* a line is too long to hold until its key is known */
};

struct split_report {
    uint64_t lines;
    uint32_t reducer;  /* SPLIT_WRITE */
    int error;         /* SPLIT_READ, SPLIT_WRITE: the errno */
    char message[640]; /* on failure: the reason, in a sentence (two for SPLIT_KEY) */
};

/*
 * split_run - split all of `src` into dsts[0] ... dsts[reducers - 1].
 *
 * Reads to the end of `src` and writes at the descriptors' positions. Raises no signal.
 * `report` is filled in either case.
 */
enum split_result split_run(const struct split_spec *spec, int src, const int *dsts, struct split_report *report);
/* cffi end */

#endif
