/*
 * slice - where the lines of a range of a file begin.
 *
 * A file is cut into ranges at any bytes, and the range [a, b) owns the lines that begin in it. So
 * the bytes of its lines are [slice_begin(a), slice_begin(b)): two neighbours ask the same question
 * about the edge between them, and so agree about a line across it.
 */
#ifndef REMORA_SLICE_H
#define REMORA_SLICE_H

#include <stdint.h>
#include <sys/types.h>

/* cffi begin */
/*
 * slice_begin - the offset of the first line that begins at `at` or after it.
 *
 * `size` is that of the file, and the answer if no line begins there. A line ends after the byte
 * `end`, or where the file ends. Reads the file from `at - 1` on by pread, 64 KiB at a time, and
 * leaves its position alone. Returns -1 with errno: EOVERFLOW if the line before would be longer
 * than `longest` bytes counted from `at`, ENODATA if the file is shorter than `size`, or what
 * pread says.
 */
off_t slice_begin(int fd, off_t at, off_t size, int end, uint64_t longest);

/*
 * slice_skip - the offset behind `lines` lines from `from` on, where a line begins; `size` if there
 * are fewer.
 *
 * Returns -1 with errno as slice_begin.
 */
off_t slice_skip(int fd, off_t from, off_t size, int end, uint64_t lines);

/*
 * slice_count - how many lines begin in [from, to), where `from` is the beginning of a line.
 *
 * Returns -1 with errno as slice_begin.
 */
int64_t slice_count(int fd, off_t from, off_t to, int end);

/*
 * slice_before - where the line begins that has the byte before `at`, at `from` at the earliest.
 *
 * Returns -1 with errno as slice_begin.
 */
off_t slice_before(int fd, off_t from, off_t at, int end);

/*
 * slice_long - where the first line that is longer than `longest` bytes begins, of those in [from, to); `to` if none is.
 *
 * `from` is the beginning of a line. Looks only at every `longest`-th byte, around which a line that
 * long would be: so it reads 64 KiB of each 16 MiB, if that is `longest`. Returns -1 with errno as slice_begin.
 */
off_t slice_long(int fd, off_t from, off_t to, int end, uint64_t longest);
/* cffi end */

#endif
