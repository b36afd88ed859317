#include "keys/normal.h"

#include <string.h>
#include <sys/mman.h>

enum {
    ESCAPE = 1, /* before the bytes 0 and 1, which become 1 and 2 */
    SCRATCH = LINE_MAX_BYTES + 1,
    FIXED = 32 /* more than any normal form of no text */
};

static int is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

/* Flags that change the text of a key before it is parsed. */
static int changes(uint32_t flags)
{
    return (flags & (KEY_D | KEY_I | KEY_F)) != 0;
}

int normal_open(struct normal *normal, const struct ordering *ordering)
{
    normal->ordering = ordering;
    normal->scratch = mmap(NULL, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return normal->scratch == MAP_FAILED ? -1 : 0;
}

void normal_close(struct normal *normal)
{
    if (normal->scratch)
        munmap(normal->scratch, SCRATCH);
}

size_t normal_room(const struct ordering *ordering, size_t len)
{
    size_t room = 0;

    for (size_t i = 0; i < ordering->n; i++)
        room += FIXED + len * (ordering->keys[i].order == KEY_VERSION ? 4 : 2);
    return room;
}

struct span normal_skip_blanks(struct span text)
{
    while (text.len > 0 && is_blank(*text.at)) {
        text.at++;
        text.len--;
    }
    return text;
}

/* The first byte of the field that is `field` fields further. */
static const char *skip_fields(const char *at, const char *end, uint32_t field, int separator)
{
    for (; field > 0 && at < end; field--) {
        if (separator >= 0) {
            const char *stop = memchr(at, separator, (size_t)(end - at));

            at = stop ? stop + 1 : end;
        } else {
            while (at < end && is_blank(*at))
                at++;
            while (at < end && !is_blank(*at))
                at++;
        }
    }
    return at;
}

static const char *add(const char *at, const char *end, size_t n)
{
    return (size_t)(end - at) > n ? at + n : end;
}

static const char *key_start(const struct ordering *ordering, const struct key *key, const char *at, const char *end)
{
    at = skip_fields(at, end, key->start_field, ordering->separator);
    if (key->flags & KEY_B)
        while (at < end && is_blank(*at))
            at++;
    return add(at, end, key->start_char);
}

/* Where a key ends; without characters, that is before the separator behind its last field. */
static const char *key_end(const struct ordering *ordering, const struct key *key, const char *at, const char *end)
{
    if (key->end_field == KEY_FAR)
        return end;
    at = skip_fields(at, end, key->end_field, ordering->separator);
    if (key->end_char > 0) {
        if (key->flags & KEY_END_B)
            while (at < end && is_blank(*at))
                at++;
        return add(at, end, key->end_char);
    }
    if (ordering->separator >= 0) {
        const char *stop = memchr(at, ordering->separator, (size_t)(end - at));

        return stop ? stop : end;
    }
    return skip_fields(at, end, 1, -1);
}

struct span normal_key(const struct ordering *ordering, const struct key *key, struct span line)
{
    const char *end = line.at + line.len;
    const char *from = key_start(ordering, key, line.at, end);
    const char *to = key_end(ordering, key, line.at, end);

    return (struct span){from, to > from ? (size_t)(to - from) : 0};
}

static int is_kept(unsigned char byte, uint32_t flags)
{
    int is_word = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');

    if (flags & KEY_D)
        return is_word || is_blank((char)byte);
    if (flags & KEY_I)
        return byte >= ' ' && byte < 0x7f;
    return 1;
}

static unsigned char folded(unsigned char byte, uint32_t flags)
{
    return (flags & KEY_F) && byte >= 'a' && byte <= 'z' ? (unsigned char)(byte - 'a' + 'A') : byte;
}

size_t normal_translate(struct span text, uint32_t flags, unsigned char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        out[used] = folded(byte, flags);
        used += (size_t)is_kept(byte, flags);
    }
    return used;
}

/* Whether a byte of the word is 0 or 1. */
static int has_escaped(uint64_t word)
{
    return ((word - UINT64_C(0x0202020202020202)) & ~word & UINT64_C(0x8080808080808080)) != 0;
}

static size_t put_escaped(unsigned char byte, unsigned char *out)
{
    size_t used = 0;

    if (byte <= ESCAPE) {
        out[used++] = ESCAPE;
        byte++;
    }
    out[used++] = byte;
    return used;
}

/* Copy words as long as nothing in them needs an escape. */
static size_t put_plain(struct span text, unsigned char *out)
{
    size_t used = 0;
    size_t i = 0;

    while (i < text.len) {
        uint64_t word;

        if (text.len - i >= sizeof word) {
            memcpy(&word, text.at + i, sizeof word);
            if (!has_escaped(word)) {
                memcpy(out + used, &word, sizeof word);
                used += sizeof word;
                i += sizeof word;
                continue;
            }
        }
        used += put_escaped((unsigned char)text.at[i++], out + used);
    }
    return used;
}

size_t normal_text(struct span text, uint32_t flags, unsigned char *out)
{
    size_t used = 0;

    if (!changes(flags)) {
        used = put_plain(text, out);
    } else {
        for (size_t i = 0; i < text.len; i++)
            if (is_kept((unsigned char)text.at[i], flags))
                used += put_escaped(folded((unsigned char)text.at[i], flags), out + used);
    }
    out[used++] = 0;
    return used;
}

/* The text as the parsers want it: with `changes` applied, and for strtold with a NUL. */
static struct span prepared(const struct normal *normal, const struct key *key, struct span text)
{
    if (changes(key->flags))
        text.len = normal_translate(text, key->flags, normal->scratch);
    else
        memcpy(normal->scratch, text.at, text.len);
    normal->scratch[text.len] = '\0';
    text.at = (const char *)normal->scratch;
    return text;
}

static size_t one_key(const struct normal *normal, const struct key *key, struct span text, unsigned char *out)
{
    if (key->order == KEY_BYTES)
        return normal_text(text, key->flags, out);
    if (changes(key->flags) || key->order == KEY_GENERAL)
        text = prepared(normal, key, text);
    switch (key->order) {
    case KEY_NUMBER:
        return normal_number(text, out);
    case KEY_HUMAN:
        return normal_human(text, out);
    case KEY_GENERAL:
        return normal_general(text.at, out);
    case KEY_MONTH:
        return normal_month(text, out);
    default:
        return normal_version(text, out);
    }
}

size_t normal_form(const struct normal *normal, struct span line, unsigned char *out)
{
    const struct ordering *ordering = normal->ordering;
    size_t used = 0;

    for (size_t i = 0; i < ordering->n; i++) {
        const struct key *key = &ordering->keys[i];
        size_t len = one_key(normal, key, normal_key(ordering, key, line), out + used);

        if (key->flags & KEY_R)
            for (size_t j = 0; j < len; j++)
                out[used + j] = (unsigned char)~out[used + j];
        used += len;
    }
    return used;
}
