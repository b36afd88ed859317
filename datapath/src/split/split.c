#include "split/split.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "split/buffer.h"
#include "split/keyer.h"
#include "split/outputs.h"
#include "split/route.h"
#include "streams/quiet.h"
#include "streams/spool.h"
#include "text/fields.h"
#include "text/lines.h"
#include "text/marks.h"

enum {
    INPUT = 256 * 1024,       /* with the outputs it stays in a core's own cache */
    MAPPED = 8 * 1024 * 1024, /* bytes of a file that are mapped at once */
    WINDOW = 16 * 1024,       /* text that is marked at once; the marks take a quarter of that */
    BATCH = 256,              /* lines that are routed together */
    ARENA = 64 * 1024,        /* joined keys of a batch */
    PAD = OUTPUTS_PAD         /* bytes after the input that may be read */
};

struct split {
    const struct split_spec *spec;
    struct split_report *report;
    enum split_result result;
    struct fields fields;

    struct buffer input;
    int64_t carry; /* reducer of the line whose beginning has been written already; -1: none */

    uint64_t ends[WINDOW / MARKS_BLOCK + 1]; /* one more, as marks_next needs */
    uint64_t delimiters[WINDOW / MARKS_BLOCK + 1];

    size_t batch;
    struct span lines[BATCH];
    struct hash_key keys[BATCH];
    uint64_t hashes[BATCH];
    uint32_t to[BATCH];
    char *arena;
    size_t arena_used;
    size_t arena_room;

    struct route route;
    struct outputs outputs;
};

static int fail(struct split *split, enum split_result result, const char *what)
{
    split->result = result;
    snprintf(split->report->message, sizeof split->report->message, "%s", what);
    return -1;
}

static int bad_key(struct split *split, const struct hash_key *key, const struct span *line)
{
    char number[24] = "NaN";
    int64_t value;

    if (route_number(key, &value))
        snprintf(number, sizeof number, "%lld", (long long)value);
    split->result = SPLIT_KEY;
    snprintf(split->report->message, sizeof split->report->message,
             "Parsed %.*s as %s out of line: %.*s\nWhich is not a number or not within the valid range of reducers.",
             (int)(key->len < 100 ? key->len : 100), key->len ? (const char *)key->data : "", number,
             (int)(line->len < 300 ? line->len : 300), line->at);
    return -1;
}

/* Fill to[] for the keys of the batch. */
static int route(struct split *split)
{
    struct keyer *keyer = split->spec->keyer;
    size_t routed;

    if (keyer && keyer->keys(keyer, split->lines, split->batch, split->keys) < 0)
        return fail(split, SPLIT_KEY, keyer->why);
    routed = route_keys(&split->route, split->keys, split->batch, split->hashes, split->to);

    return routed == split->batch ? 0 : bad_key(split, &split->keys[routed], &split->lines[routed]);
}

static int send_batch(struct split *split)
{
    if (route(split) < 0)
        return -1;
    for (size_t i = 0; i < split->batch; i++)
        if (outputs_put_line(&split->outputs, split->to[i], split->lines[i].at, split->lines[i].len) < 0)
            return -1;
    split->report->lines += split->batch;
    split->batch = 0;
    split->arena_used = 0;
    return 0;
}

/* Make room for a joined key; the batch is routed first if the arena is full. */
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

/* Add the key of the latest fields to the batch. */
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
    if (split->spec->keyer) {
        /* The keyer is called for the whole batch. */
    } else if (marks && fields_first(&split->fields)) {
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

/* Process the whole lines of text[0] ... text[len - 1]. Returns 0 with the bytes processed in *taken. */
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
            next = lines_next(text, end, len, last);
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

/* The same for one line that is longer than a window. */
static int take_long(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    size_t end = lines_end(text, len);
    size_t next = lines_next(text, end, len, last);

    *taken = next;
    return next == 0 ? 0 : add_line(split, text, NULL, 0, end);
}

/* Write the rest of a line that began earlier. */
static int take_carried(struct split *split, const char *text, size_t len, int last, size_t *taken)
{
    size_t end = lines_end(text, len);
    size_t next = lines_next(text, end, len, last);
    uint32_t reducer = (uint32_t)split->carry;

    *taken = next ? next : end;
    if (next == 0)
        return outputs_put(&split->outputs, reducer, text, end);
    split->carry = -1;
    split->report->lines++;
    return outputs_put_line(&split->outputs, reducer, text, end);
}

/* Process every whole line of `text`. Returns 0 with the bytes processed in *taken. */
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
 * Handle a full buffer without a whole line. If the key is known, the line's beginning is
 * written, and its rest later; if not, the buffer must grow.
 */
static int take_beginning(struct split *split, size_t *taken)
{
    struct buffer *input = &split->input;

    if (!split->spec->keyer && fields_find(&split->fields, input->text, NULL, 0, input->have)) {
        if (add_key(split) < 0)
            return -1;
        split->lines[0] = (struct span){input->text, input->have};
        split->batch = 1;
        if (route(split) < 0)
            return -1;
        split->batch = 0;
        split->arena_used = 0;
        split->carry = split->to[0];
        return take_carried(split, input->text, input->have, input->ended, taken);
    }
    if (buffer_grow(input) < 0)
        return fail(split, SPLIT_MEMORY, "a line is too long to hold until its key is known");
    return 0;
}

static int read_failed(struct split *split)
{
    split->report->error = errno;
    split->result = SPLIT_READ;
    snprintf(split->report->message, sizeof split->report->message, "cannot read the input: %s", strerror(errno));
    return -1;
}

/*
 * Process a mapped file without reading it, one window at a time, so that its pages do not
 * count as our memory. This stops before the end, where there is no pad, and before a line
 * that is longer than a window; the rest is read.
 */
static int run_mapped(struct split *split)
{
    struct stat status;
    off_t at = lseek(split->input.fd, 0, SEEK_CUR);
    size_t taken = 1;
    int result = 0;

    if (at < 0 || split->spec->buffer || fstat(split->input.fd, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    while (result == 0 && taken > 0 && status.st_size - at > INPUT) {
        size_t skip = (size_t)at % (size_t)sysconf(_SC_PAGESIZE);
        size_t len = status.st_size - at < MAPPED ? skip + (size_t)(status.st_size - at) : skip + MAPPED;
        char *pages = mmap(NULL, len, PROT_READ, MAP_SHARED, split->input.fd, at - (off_t)skip);

        if (pages == MAP_FAILED)
            break;
        result = take_lines(split, pages + skip, len - skip - PAD, 0, &taken);
        munmap(pages, len);
        at += (off_t)taken;
    }
    return lseek(split->input.fd, at, SEEK_SET) < 0 ? read_failed(split) : result;
}

static int run(struct split *split)
{
    struct buffer *input = &split->input;

    if (run_mapped(split) < 0)
        return -1;
    do {
        size_t taken;

        if (buffer_fill(input) < 0) /* whole: an incomplete line is scanned again after each fill */
            return read_failed(split);
        if (take_lines(split, input->text, input->have, input->ended, &taken) < 0)
            return -1;
        if (taken == 0 && input->have == input->room && take_beginning(split, &taken) < 0)
            return -1;
        buffer_take(input, taken);
    } while (!input->ended || input->have > 0);
    if (split->carry >= 0) { /* the source ended in the middle of a long line */
        split->report->lines++;
        if (outputs_put_line(&split->outputs, (uint32_t)split->carry, input->text, 0) < 0)
            return -1;
    }
    return outputs_flush(&split->outputs);
}

static int prepare(struct split *split, int src, const int *dsts)
{
    const struct split_spec *spec = split->spec;
    size_t room = spec->buffer == 0 ? INPUT : spec->buffer < 2 ? 2 : spec->buffer; /* 2: to tell CR from CR LF */
    int opened = buffer_open(&split->input, src, room, PAD);

    split->arena_room = ARENA;
    split->arena = malloc(ARENA);
    split->carry = -1;
    route_init(&split->route, spec->by, spec->reducers);
    if (outputs_init(&split->outputs, dsts, spec->reducers) < 0 || opened < 0 || !split->arena)
        return fail(split, SPLIT_MEMORY, "no memory for the buffers");
    return 0;
}

static int check(struct split *split)
{
    const struct split_spec *spec = split->spec;

    if (spec->reducers == 0 || spec->reducers > SPLIT_REDUCERS)
        return fail(split, SPLIT_SPEC, "the number of reducers is not 1 to 128");
    if (!spec->keyer &&
        fields_init(&split->fields, spec->fields, spec->nfields, spec->delimiter, spec->delimiter_len) < 0)
        return fail(split, SPLIT_SPEC,
                    "the fields are not 1 to 256 numbers from 1, or the delimiter is empty or has a line end");
    return 0;
}

/* A failed write is the cause of any other error. */
static void finish(struct split *split)
{
    struct outputs *outputs = &split->outputs;
    struct split_report *report = split->report;

    if (outputs_end(outputs) < 0) {
        split->result = SPLIT_WRITE;
        report->reducer = outputs->failed;
        report->error = outputs->error;
        snprintf(report->message, sizeof report->message, "cannot write the part of reducer %u: %s", outputs->failed,
                 spool_why(spool_result_of(outputs->error), outputs->error));
    }
    buffer_close(&split->input);
    free(split->arena);
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
    split->report = report;
    quiet_begin(&quiet);
    if (check(split) == 0 && prepare(split, src, dsts) == 0)
        run(split);
    finish(split);
    quiet_end(&quiet);
    result = split->result;
    free(split);
    return result;
}
