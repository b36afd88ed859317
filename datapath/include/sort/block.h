/*
 * block - the lines that are sorted in memory at once.
 *
 * Text is read into a block and stays where it is; what is sorted are entries of 16
 * bytes. An entry has the first 8 bytes of the line's key as a number, so that most
 * comparisons touch nothing else. What `ref` means depends on the ordering:
 *
 *     without keys   the key is the line: `ref` is its place in the text, `len` its length
 *     with keys      `len` is the length of the normal form. If the prefix has all of it,
 *                    `ref` is the place of the line, else BLOCK_RECORD and that of a record:
 *                    {u32 place of the line; u32 its length; the normal form from byte 8 on}
 *
 * So the normal form's byte i is at byte i of the record, for all i from 8 on. Places
 * grow with the input, and equal normal forms are equally long: so of lines with equal
 * keys, the one with the lower `ref` came first.
 *
 * Text, records and entries have address space reserved once; memory is used as it is
 * filled. A block is full when what its lines use has reached its `cap`: one line more,
 * and what is read at once, may exceed it and always have room.
 */
#ifndef REMORA_BLOCK_H
#define REMORA_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "keys/normal.h"
#include "text/span.h"

enum { BLOCK_PAD = 128 /* bytes after the text that may be read */ };
#define BLOCK_DROPPED UINT32_MAX         /* `ref` of a line that -u leaves out */
#define BLOCK_RECORD (UINT32_C(1) << 31) /* in `ref`, with keys: there is a record */

struct entry {
    uint64_t prefix;
    uint32_t ref;
    uint32_t len;
};

struct record {
    uint32_t at;
    uint32_t len;
};

struct block {
    const struct ordering *ordering;
    struct normal normal; /* with keys only */
    size_t cap;

    char *text;
    size_t have;    /* bytes of text, of which */
    size_t start;   /* these belong to lines that have an entry, and */
    size_t scanned; /* these were searched for ends */

    char *records;
    size_t recorded;

    struct entry *entries;
    size_t n;

    size_t text_room, records_room, entries_room; /* bytes reserved */
};

/* block_open - reserve for a block that may use `cap` bytes. Returns 0, or -1 with errno. */
int block_open(struct block *block, const struct ordering *ordering, size_t cap);

void block_close(struct block *block);

/* block_room - how many bytes may be read to text[have] now; 0 if the block is full. */
size_t block_room(const struct block *block);

/*
 * block_scan - make entries of the whole lines that were added, until the block is full.
 *
 * Returns 0, or -1 if a line is longer than LINE_MAX_BYTES; it begins at text[start].
 */
int block_scan(struct block *block);

/* block_end_text - end the last line if the text does not, as the end of a file. */
void block_end_text(struct block *block);

/* block_clear - forget the entries, and move the text behind their lines to the beginning. */
void block_clear(struct block *block);

static inline int block_has_keys(const struct block *block)
{
    return block->ordering->n > 0;
}

static inline int block_has_record(const struct block *block, const struct entry *entry)
{
    return block_has_keys(block) && (entry->ref & BLOCK_RECORD);
}

/* The record of an entry that has one. Records are aligned, and places count in words. */
static inline const char *block_record(const struct block *block, const struct entry *entry)
{
    return block->records + (size_t)(entry->ref & ~BLOCK_RECORD) * sizeof(uint32_t);
}

/* block_text - where the line of an entry begins. */
static inline const char *block_text(const struct block *block, const struct entry *entry)
{
    if (!block_has_record(block, entry))
        return block->text + entry->ref;
    return block->text + ((const struct record *)(const void *)block_record(block, entry))->at;
}

/* block_line - the line of an entry, without its end, which follows. */
static inline struct span block_line(const struct block *block, const struct entry *entry)
{
    const char *at = block_text(block, entry);

    if (!block_has_keys(block))
        return (struct span){at, entry->len};
    if (block_has_record(block, entry))
        return (struct span){at, ((const struct record *)(const void *)block_record(block, entry))->len};
    return (struct span){at, (size_t)((const char *)rawmemchr(at, block->ordering->end) - at)};
}

/* 8 bytes as a number that orders as they do. `len` of them count, the others are 0; all 8 can be read. */
static inline uint64_t block_word(const char *at, size_t len)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    word = __builtin_bswap64(word);
    return len >= sizeof word ? word : len == 0 ? 0 : word & ~(UINT64_MAX >> (8 * len));
}

#endif
