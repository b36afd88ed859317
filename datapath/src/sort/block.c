#include "sort/block.h"

#include <string.h>
#include <sys/mman.h>

#include "text/marks.h"

enum {
    WINDOW = 16 * 1024,      /* text that is searched at once */
    PIECE = 1024 * 1024,     /* most bytes that are read at once, */
    PIECE_MIN = 16 * 1024,   /* and least */
    SMALL = 4 * 1024 * 1024, /* of which a small input uses small pages */
    WORDS = WINDOW / MARKS_BLOCK
};
/* So that `ref` can count them, with what one more line may take. */
#define TEXT_MAX ((size_t)BLOCK_RECORD - LINE_MAX_BYTES - PIECE - 1)
#define RECORDS_MAX (UINT64_C(4) << 30)

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "block_word swaps the bytes of a little-endian machine"
#endif

static void *reserve(size_t size)
{
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    if (size > SMALL) /* fewer faults; a refusal changes nothing else */
        madvise((char *)room + SMALL, size - SMALL, MADV_HUGEPAGE);
    return room;
}

static void release(void *room, size_t size)
{
    if (room)
        munmap(room, size);
}

int block_open(struct block *block, const struct ordering *ordering, size_t cap)
{
    size_t text = cap < TEXT_MAX ? cap : TEXT_MAX;

    *block = (struct block){.ordering = ordering, .cap = cap};
    block->text_room = text + LINE_MAX_BYTES + PIECE + BLOCK_PAD;
    block->entries_room = cap + LINE_MAX_BYTES;
    block->records_room = block_has_keys(block) ? cap + normal_room(ordering, LINE_MAX_BYTES) + BLOCK_PAD : 0;
    if (block_has_keys(block) && normal_open(&block->normal, ordering) < 0)
        return -1;
    block->text = reserve(block->text_room);
    block->entries = reserve(block->entries_room);
    block->records = block_has_keys(block) ? reserve(block->records_room) : NULL;
    if (block->text && block->entries && (block->records || !block_has_keys(block)))
        return 0;
    block_close(block);
    return -1;
}

void block_close(struct block *block)
{
    if (block_has_keys(block))
        normal_close(&block->normal);
    release(block->text, block->text_room);
    release(block->entries, block->entries_room);
    release(block->records, block->records_room);
}

/* Text behind the last line does not count: it may be of the next block. */
static size_t used(const struct block *block)
{
    return block->start + block->recorded + block->n * sizeof *block->entries;
}

static int is_full(const struct block *block)
{
    return block->n > 0 && (used(block) >= block->cap || block->start >= TEXT_MAX || block->recorded >= RECORDS_MAX);
}

size_t block_room(const struct block *block)
{
    size_t piece = block->cap / 8;

    if (is_full(block))
        return 0;
    return piece < PIECE_MIN ? PIECE_MIN : piece > PIECE ? PIECE : piece;
}

/* Rewrite the line's keys; what does not fit into the entry becomes a record. */
static void add_record(struct block *block, struct entry *entry, struct span line)
{
    char *at = block->records + block->recorded;
    struct record record = {(uint32_t)(line.at - block->text), (uint32_t)line.len};
    size_t len = normal_form(&block->normal, line, (unsigned char *)at);

    *entry = (struct entry){block_word(at, len), record.at, (uint32_t)len};
    if (len <= sizeof entry->prefix)
        return;
    entry->ref = BLOCK_RECORD | (uint32_t)(block->recorded / sizeof(uint32_t));
    memcpy(at, &record, sizeof record);
    block->recorded += (len + sizeof(uint32_t) - 1) & ~(sizeof(uint32_t) - 1);
}

/* Make an entry of the line that ends before text[end]. */
static int add_line(struct block *block, size_t end)
{
    struct span line = {block->text + block->start, end - block->start};
    struct entry *entry = &block->entries[block->n];

    if (line.len > LINE_MAX_BYTES)
        return -1;
    if (block_has_keys(block))
        add_record(block, entry, line);
    else
        *entry = (struct entry){block_word(line.at, line.len), (uint32_t)block->start, (uint32_t)line.len};
    block->n++;
    block->start = end + 1;
    return 0;
}

/* One window. Returns 1, 0 if the block was full before its end, or -1. */
static int scan_window(struct block *block, size_t len)
{
    uint64_t others[WORDS], ends[WORDS];
    size_t blocks = (len + MARKS_BLOCK - 1) / MARKS_BLOCK;
    size_t from = block->scanned;

    marks_find(block->text + from, blocks, block->ordering->end, others, ends);
    for (size_t i = 0; i < blocks; i++)
        for (uint64_t bits = ends[i]; bits; bits &= bits - 1) {
            size_t at = i * MARKS_BLOCK + (size_t)__builtin_ctzll(bits);

            if (at >= len)
                break;
            if (is_full(block))
                return 0;
            if (add_line(block, from + at) < 0)
                return -1;
            block->scanned = block->start;
        }
    block->scanned = from + len;
    return 1;
}

int block_scan(struct block *block)
{
    while (block->scanned < block->have) {
        size_t rest = block->have - block->scanned;
        int more = scan_window(block, rest < WINDOW ? rest : WINDOW);

        if (more <= 0)
            return more;
    }
    return block->have - block->start > LINE_MAX_BYTES ? -1 : 0;
}

void block_end_text(struct block *block)
{
    if (block->have > 0 && block->text[block->have - 1] != block->ordering->end)
        block->text[block->have++] = block->ordering->end;
}

void block_clear(struct block *block)
{
    memmove(block->text, block->text + block->start, block->have - block->start);
    block->have -= block->start;
    block->scanned -= block->start;
    block->start = block->recorded = block->n = 0;
}
