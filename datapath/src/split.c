#include "split.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fields.h"
#include "marks.h"
#include "md5.h"
#include "move.h"
#include "quiet.h"
#include "spool.h"
#include "writer.h"
#include "xxh3.h"

enum {
    INPUT = 256 * 1024,      /* with the outputs below it stays in a core's own cache */
    OUTPUT_MIN = 64 * 1024,  /* of each reducer; fewer reducers get more, up to OUTPUT_MAX each */
    OUTPUT_MAX = 256 * 1024,
    OUTPUTS = 1024 * 1024,
    MAPPED = 8 * 1024 * 1024, /* of a file that is looked at in place */
    WINDOW = 16 * 1024,      /* text that is marked at once; the marks take a quarter of that */
    BATCH = 256,             /* lines that are routed together */
    ARENA = 64 * 1024,       /* joined keys of a batch */
    PAD = 64                 /* bytes after each buffer that may be touched, so that copies go by whole strides */
};

struct output {
    int fd;
    char *buffer;
    size_t used;
};

struct split {
    const struct split_spec *spec;
    struct split_report *report;
    enum split_result result;
    struct fields fields;
    int src;

    char *input;
    size_t have;   /* bytes in `input` */
    size_t room;   /* bytes that it can hold, the pad not counted */
    int ended;     /* the source has no more */
    int64_t carry; /* reducer of the line whose beginning has been passed on already; -1: none */

    uint64_t ends[WINDOW / MARKS_BLOCK + 1]; /* one more, as marks_next wants */
    uint64_t delimiters[WINDOW / MARKS_BLOCK + 1];

    size_t batch;
    struct span lines[BATCH];
    struct hash_key keys[BATCH];
    uint64_t hashes[BATCH];
    uint32_t to[BATCH];
    uint64_t inverse; /* 2^64 / reducers, rounded up */
    uint64_t carry32; /* 2^32 modulo reducers */
    char *arena;
    size_t arena_used;
    size_t arena_room;

    size_t output_room;
    struct writer *writer; /* NULL until a buffer is full */
    struct output outputs[SPLIT_REDUCERS];
};

static int fail(struct split *split, enum split_result result, const char *what)
{
    split->result = result;
    snprintf(split->report->message, sizeof split->report->message, "%s", what);
    return -1;
}

/* --- output ------------------------------------------------------------------------------------------------------ */

static int write_failed(struct split *split, uint32_t reducer, int error)
{
    split->report->reducer = reducer;
    split->report->error = error;
    split->result = SPLIT_WRITE;
    snprintf(split->report->message, sizeof split->report->message, "cannot write the part of reducer %u: %s", reducer,
             spool_why(spool_result_of(error), error));
    return -1;
}

/* Pass on what a reducer's buffer holds. The writer starts with the first one that is full: short input needs none. */
static int spill(struct split *split, uint32_t reducer)
{
    struct output *output = &split->outputs[reducer];
    size_t used = output->used;

    output->used = 0;
    if (!split->writer)
        split->writer = writer_new(split->output_room + PAD);
    if (split->writer)
        return writer_give(split->writer, output->fd, reducer, &output->buffer, used);
    return move_write(output->fd, output->buffer, used, -1) < 0 ? write_failed(split, reducer, errno) : 0;
}

/* Write what is left in the buffers, and wait for what is on its way. */
static int flush_outputs(struct split *split)
{
    for (uint32_t i = 0; i < split->spec->reducers; i++) {
        struct output *output = &split->outputs[i];

        if (split->writer ? spill(split, i) < 0 : move_write(output->fd, output->buffer, output->used, -1) < 0)
            return split->writer ? -1 : write_failed(split, i, errno);
    }
    return 0;
}

/* What the writer met is what failed, whoever noticed. */
static void end_writer(struct split *split)
{
    uint32_t reducer;
    int error = split->writer ? writer_end(split->writer, &reducer) : 0;

    if (error)
        write_failed(split, reducer, error);
}

/* Copy by whole strides: both buffers have a pad, and nobody needs to know the length's last bits. */
static inline void copy(char *to, const char *from, size_t len)
{
    size_t i = 0;

    do
        memcpy(to + i, from + i, PAD);
    while ((i += PAD) < len);
}

/* Append bytes that do not fit: a piece at a time. */
static int put_long(struct split *split, uint32_t reducer, const char *data, size_t len)
{
    struct output *output = &split->outputs[reducer];

    while (len >= split->output_room - output->used) {
        size_t piece = split->output_room - output->used;

        copy(output->buffer + output->used, data, piece);
        output->used += piece;
        data += piece;
        len -= piece;
        if (spill(split, reducer) < 0)
            return -1;
    }
    copy(output->buffer + output->used, data, len);
    output->used += len;
    return 0;
}

/* Append bytes of the input buffer, which has a pad; afterwards there is room for one more. */
static inline int put(struct split *split, uint32_t reducer, const char *data, size_t len)
{
    struct output *output = &split->outputs[reducer];

    if (len >= split->output_room - output->used)
        return put_long(split, reducer, data, len);
    copy(output->buffer + output->used, data, len);
    output->used += len;
    return 0;
}

static inline int put_line(struct split *split, uint32_t reducer, const char *line, size_t len)
{
    struct output *output = &split->outputs[reducer];

    if (put(split, reducer, line, len) < 0)
        return -1;
    output->buffer[output->used++] = '\n';
    split->report->lines++;
    return 0;
}

/* --- routes ------------------------------------------------------------------------------------------------------ */

/* As the original reads a number: blanks, a sign, digits, and whatever follows is ignored. */
static int parse_index(const struct hash_key *key, int64_t *index)
{
    size_t i = 0;
    int64_t sign = 1;
    int digits = 0;

    while (i < key->len && strchr(" \t\v\f", key->data[i]) && key->data[i])
        i++;
    if (i < key->len && (key->data[i] == '-' || key->data[i] == '+'))
        sign = key->data[i++] == '-' ? -1 : 1;
    for (*index = 0; i < key->len && key->data[i] >= '0' && key->data[i] <= '9'; i++, digits++)
        if (*index < INT32_MAX)
            *index = *index * 10 + (key->data[i] - '0');
    *index *= sign;
    return digits > 0 ? 0 : -1;
}

static int bad_index(struct split *split, const struct hash_key *key, const struct span *line, int is_number,
                     int64_t index)
{
    char number[24] = "NaN";

    if (is_number)
        snprintf(number, sizeof number, "%lld", (long long)index);
    split->result = SPLIT_KEY;
    snprintf(split->report->message, sizeof split->report->message,
             "Parsed %.*s as %s out of line: %.*s\nWhich is not a number or not within the valid range of reducers.",
             (int)(key->len < 100 ? key->len : 100), key->len ? (const char *)key->data : "", number,
             (int)(line->len < 300 ? line->len : 300), line->at);
    return -1;
}

static int route_by_index(struct split *split)
{
    for (size_t i = 0; i < split->batch; i++) {
        int64_t index;
        int parsed = parse_index(&split->keys[i], &index);

        if (parsed < 0 || index < 0 || index >= split->spec->reducers)
            return bad_index(split, &split->keys[i], &split->lines[i], parsed == 0, index);
        split->to[i] = (uint32_t)index;
    }
    return 0;
}

/*
 * hash modulo the reducers, by multiplying with their inverse: the fraction of hash/reducers,
 * in 64 bits, times the reducers. Exact for hashes below 2^57, as there are at most 2^7
 * reducers; so the upper half of the hash is folded into the lower first.
 */
static inline uint32_t modulo(const struct split *split, uint64_t hash)
{
    uint64_t folded = (hash >> 32) * split->carry32 + (uint32_t)hash;

    return (uint32_t)((unsigned __int128)(split->inverse * folded) * split->spec->reducers >> 64);
}

/* Fill to[] for the keys of the batch. */
static int route(struct split *split)
{
    if (split->spec->by == SPLIT_INDEX)
        return route_by_index(split);
    if (split->spec->by == SPLIT_MD5) {
        md5_first(split->keys, split->batch, split->to);
        for (size_t i = 0; i < split->batch; i++)
            split->to[i] = modulo(split, split->to[i]);
    } else {
        xxh3_keys(split->keys, split->batch, split->hashes);
        for (size_t i = 0; i < split->batch; i++)
            split->to[i] = modulo(split, split->hashes[i]);
    }
    return 0;
}

static int send_batch(struct split *split)
{
    if (route(split) < 0)
        return -1;
    for (size_t i = 0; i < split->batch; i++)
        if (put_line(split, split->to[i], split->lines[i].at, split->lines[i].len) < 0)
            return -1;
    split->batch = 0;
    split->arena_used = 0;
    return 0;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

/* Room for a joined key; the batch goes first if the arena is full. */
static int make_arena(struct split *split, size_t need)
{
    char *larger;

    if (need <= split->arena_room - split->arena_used)
        return 0;
    if (send_batch(split) < 0)
        return -1;
    if (need <= split->arena_room)
        return 0;
    if (!(larger = realloc(split->arena, need)))
        return fail(split, SPLIT_MEMORY, "a key is too long to hold in memory");
    split->arena = larger;
    split->arena_room = need;
    return 0;
}

/* The key of the fields that were found last, into the batch. */
static inline int add_key(struct split *split)
{
    size_t need = fields_room(&split->fields);

    if (need > 0 && make_arena(split, need) < 0)
        return -1;
    split->keys[split->batch] = fields_key(&split->fields, split->arena + split->arena_used);
    split->arena_used += need;
    return 0;
}

static inline int add_line(struct split *split, const char *text, const uint64_t *marks, size_t start, size_t end)
{
    if (marks && fields_first(&split->fields)) {
        size_t len = marks_next(marks, start, end) - start;

        split->keys[split->batch] = (struct hash_key){(const unsigned char *)text + start, len};
    } else {
        fields_find(&split->fields, text, marks, start, end);
        if (add_key(split) < 0)
            return -1;
    }
    split->lines[split->batch++] = (struct span){text + start, end - start};
    return split->batch == BATCH ? send_batch(split) : 0;
}

/*
 * Where the line after the one that ends at text[end] begins; 0 if that cannot be told yet,
 * because the text stops at a CR, or there is no end and more may come.
 */
static inline size_t next_line(const char *text, size_t end, size_t len, int last)
{
    if (end == len)
        return last ? len : 0;
    if (text[end] == '\n')
        return end + 1;
    if (end + 1 == len)
        return last ? len : 0;
    return text[end + 1] == '\n' ? end + 2 : end + 1;
}

/* Take the whole lines of text[0] ... text[len - 1]. Returns 0 with the bytes taken in *taken. */
static int take_window(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    size_t blocks = (len + MARKS_BLOCK - 1) / MARKS_BLOCK;
    size_t start = 0;

    marks_find(text, blocks, *split->spec->delimiter, split->ends, split->delimiters);
    for (size_t block = 0; block < blocks; block++) {
        for (uint64_t bits = split->ends[block]; bits != 0; bits &= bits - 1) {
            size_t end = block * MARKS_BLOCK + (size_t)__builtin_ctzll(bits);
            size_t next;

            if (end < start || end >= len) /* the LF of a CR LF; the pad */
                continue;
            next = next_line(text, end, len, last);
            if (next > 0 && add_line(split, text, split->delimiters, start, end) < 0)
                return -1;
            start = next > 0 ? next : start;
        }
    }
    if (last && start < len) {
        if (add_line(split, text, split->delimiters, start, len) < 0)
            return -1;
        start = len;
    }
    *taken = start;
    return 0;
}

/* End of the first line of `text`, or `len`. */
static size_t find_end(const char *text, size_t len)
{
    const char *lf = memchr(text, '\n', len);
    size_t before = lf ? (size_t)(lf - text) : len;
    const char *cr = memchr(text, '\r', before);

    return cr ? (size_t)(cr - text) : before;
}

/* The same for one line that is longer than a window. */
static int take_long(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    size_t end = find_end(text, len);
    size_t next = next_line(text, end, len, last);

    *taken = next;
    return next == 0 ? 0 : add_line(split, text, NULL, 0, end);
}

/* Pass on what belongs to a line that began earlier. */
static int take_carried(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    size_t end = find_end(text, len);
    size_t next = next_line(text, end, len, last);
    uint32_t reducer = (uint32_t)split->carry;

    *taken = next ? next : end;
    if (next == 0)
        return put(split, reducer, text, end);
    split->carry = -1;
    return put_line(split, reducer, text, end);
}

/* Take every whole line of `text`. Returns 0 with the bytes taken in *taken. */
static int take_lines(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    *taken = 0;
    if (split->carry >= 0 && take_carried(split, text, len, last, taken) < 0)
        return -1;
    while (split->carry < 0 && *taken < len) {
        size_t rest = len - *taken;
        size_t window = rest < WINDOW ? rest : WINDOW;
        size_t n;

        if (take_window(split, text + *taken, window, last && window == rest, &n) < 0)
            return -1;
        if (n == 0 && take_long(split, text + *taken, rest, last, &n) < 0)
            return -1;
        if (n == 0)
            break;
        *taken += n;
    }
    return split->batch > 0 ? send_batch(split) : 0;
}

/*
 * The buffer is full and has no whole line. If the key is known, the line's beginning can
 * go its way and the rest will follow; if not, the buffer must grow.
 */
static int take_beginning(struct split *split, size_t *taken)
{
    char *larger;

    if (fields_find(&split->fields, split->input, NULL, 0, split->have)) {
        if (add_key(split) < 0)
            return -1;
        split->lines[0] = (struct span){split->input, split->have};
        split->batch = 1;
        if (route(split) < 0)
            return -1;
        split->batch = 0;
        split->arena_used = 0;
        split->carry = split->to[0];
        return take_carried(split, split->input, split->have, split->ended, taken);
    }
    if (!(larger = realloc(split->input, 2 * split->room + PAD)))
        return fail(split, SPLIT_MEMORY, "a line is too long to hold until its key is known");
    split->input = larger;
    split->room *= 2;
    return 0;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static int read_failed(struct split *split)
{
    split->report->error = errno;
    split->result = SPLIT_READ;
    snprintf(split->report->message, sizeof split->report->message, "cannot read the input: %s", strerror(errno));
    return -1;
}

/* Fill the buffer: a line that is not whole yet is looked at once per fill, so fills should be few. */
static int fill(struct split *split)
{
    while (!split->ended && split->have < split->room) {
        ssize_t got = read(split->src, split->input + split->have, split->room - split->have);

        if (got > 0)
            split->have += (size_t)got;
        else if (got == 0)
            split->ended = 1;
        else if (errno == EAGAIN)
            move_wait(split->src, POLLIN, -1);
        else if (errno != EINTR)
            return read_failed(split);
    }
    return 0;
}

/*
 * A file need not be read: its pages are looked at where they are, one window at a time so
 * that they do not pile up as memory of ours. This stops before the end, where there is no
 * pad, and before a line that is longer than a window; the rest is read.
 */
static int run_mapped(struct split *split)
{
    struct stat status;
    off_t at = lseek(split->src, 0, SEEK_CUR);
    size_t taken = 1;
    int result = 0;

    if (at < 0 || split->spec->buffer || fstat(split->src, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    while (result == 0 && taken > 0 && status.st_size - at > INPUT) {
        size_t skip = (size_t)at % (size_t)sysconf(_SC_PAGESIZE);
        size_t len = status.st_size - at < MAPPED ? skip + (size_t)(status.st_size - at) : skip + MAPPED;
        char *pages = mmap(NULL, len, PROT_READ, MAP_SHARED, split->src, at - (off_t)skip);

        if (pages == MAP_FAILED)
            break;
        result = take_lines(split, pages + skip, len - skip - PAD, 0, &taken);
        munmap(pages, len);
        at += (off_t)taken;
    }
    return lseek(split->src, at, SEEK_SET) < 0 ? read_failed(split) : result;
}

static int run(struct split *split)
{
    if (run_mapped(split) < 0)
        return -1;
    do {
        size_t taken;

        if (fill(split) < 0 || take_lines(split, split->input, split->have, split->ended, &taken) < 0)
            return -1;
        if (taken == 0 && split->have == split->room && take_beginning(split, &taken) < 0)
            return -1;
        split->have -= taken;
        memmove(split->input, split->input + taken, split->have);
    } while (!split->ended || split->have > 0);
    if (split->carry >= 0 && put_line(split, (uint32_t)split->carry, split->input, 0) < 0)
        return -1;
    return flush_outputs(split);
}

static int prepare(struct split *split, const int *dsts)
{
    const struct split_spec *spec = split->spec;
    size_t share = OUTPUTS / spec->reducers;

    split->room = spec->buffer == 0 ? INPUT : spec->buffer < 2 ? 2 : spec->buffer; /* 2: to tell CR from CR LF */
    split->arena_room = ARENA;
    split->output_room = share < OUTPUT_MIN ? OUTPUT_MIN : share > OUTPUT_MAX ? OUTPUT_MAX : share;
    split->inverse = UINT64_MAX / spec->reducers + 1;
    split->carry32 = (UINT64_C(1) << 32) % spec->reducers;
    split->carry = -1;
    split->input = malloc(split->room + PAD);
    split->arena = malloc(ARENA);
    for (uint32_t i = 0; i < spec->reducers; i++) {
        split->outputs[i] = (struct output){.fd = dsts[i], .buffer = malloc(split->output_room + PAD)};
        if (!split->outputs[i].buffer)
            return fail(split, SPLIT_MEMORY, "no memory for the buffers");
    }
    return split->input && split->arena ? 0 : fail(split, SPLIT_MEMORY, "no memory for the buffers");
}

static int check(struct split *split)
{
    const struct split_spec *spec = split->spec;

    if (spec->reducers == 0 || spec->reducers > SPLIT_REDUCERS)
        return fail(split, SPLIT_SPEC, "the number of reducers is not 1 to 128");
    if (fields_init(&split->fields, spec->fields, spec->nfields, spec->delimiter, spec->delimiter_len) < 0)
        return fail(split, SPLIT_SPEC, "the fields are not 1 to 256 numbers from 1, or the delimiter is empty or has a line end");
    return 0;
}

enum split_result split_run(const struct split_spec *spec, int src, const int *dsts, struct split_report *report)
{
    struct split *split = calloc(1, sizeof *split);
    struct quiet quiet;
    enum split_result result;

    *report = (struct split_report){0};
    if (!split) {
        snprintf(report->message, sizeof report->message, "no memory");
        return SPLIT_MEMORY;
    }
    split->spec = spec;
    split->src = src;
    split->report = report;
    quiet_begin(&quiet);
    if (check(split) == 0 && prepare(split, dsts) == 0)
        run(split);
    end_writer(split);
    quiet_end(&quiet);
    result = split->result;
    free(split->input);
    free(split->arena);
    for (uint32_t i = 0; i < SPLIT_REDUCERS; i++)
        free(split->outputs[i].buffer);
    free(split);
    return result;
}
