/*
 * keydef - what a sort compares: keys as `sort -k` defines them, and what is global.
 *
 * A key is a part of a line and a way to order it. Its text is GNU's KEYDEF,
 * `F[.C][FLAGS][,F[.C][FLAGS]]`: from the C-th character of the F-th field to the end of
 * another field, or to a character of it, all counted from 1.
 *
 *     2,2n     the second field, by its number
 *     1.3,1r   the first field from its third character on, backwards
 *     3        all from the third field on
 *
 * `scheduler/model/keydef.py` parses the same language and has the same sentences.
 */
#ifndef REMORA_KEYDEF_H
#define REMORA_KEYDEF_H

#include <stddef.h>
#include <stdint.h>

enum { KEYS_MAX = 32, KEYDEF_WHY = 256 };

/* A field or character that no line reaches. */
#define KEY_FAR (UINT32_MAX - 1)

enum key_order {
    KEY_BYTES,
    KEY_NUMBER,  /* n: decimal numbers of any length */
    KEY_GENERAL, /* g: floating point */
    KEY_HUMAN,   /* h: by unit, then by number */
    KEY_MONTH,   /* M: the name of a month */
    KEY_VERSION  /* V: text and numbers by turns */
};

/* Flags as they were written, one bit a letter. */
enum key_flag {
    KEY_B = 1 << 0, /* skip blanks before the start */
    KEY_D = 1 << 1, /* only blanks, letters and digits count */
    KEY_F = 1 << 2, /* lower case as upper case */
    KEY_G = 1 << 3,
    KEY_H = 1 << 4,
    KEY_I = 1 << 5, /* only printable characters count */
    KEY_M = 1 << 6,
    KEY_N = 1 << 7,
    KEY_R = 1 << 8, /* backwards */
    KEY_V = 1 << 9,
    KEY_END_B = 1 << 10 /* skip blanks before the characters of the end are counted */
};

struct key {
    uint32_t start_field; /* from 0 */
    uint32_t start_char;  /* from 0 */
    uint32_t end_field;   /* from 0; KEY_FAR: the end of the line */
    uint32_t end_char;    /* characters of that field; 0: all of it */
    uint32_t flags;       /* enum key_flag */
    enum key_order order;
};

/* A whole order of lines. */
struct ordering {
    struct key keys[KEYS_MAX];
    size_t n;       /* 0: whole lines */
    uint32_t flags; /* global ones, as for a key of the whole line */
    int separator;  /* between fields, a byte; -1: a field begins where blanks begin */
    char end;       /* of a line: LF or NUL */
    int is_stable;  /* lines with equal keys stay in their order, and are not compared as a whole */
    int is_unique;  /* of lines with equal keys the first stays */
};

/*
 * keydef_read - parse a KEYDEF.
 *
 * Returns 0, or -1 with a sentence in `why`, such as `"2,1x" is no key: x is none of
 * b d f g h i M n r V`.
 */
int keydef_read(const char *text, struct key *key, char why[KEYDEF_WHY]);

/* keydef_flag - the bit of a flag's letter, or 0. */
uint32_t keydef_flag(char letter);

/*
 * keydef_finish - let keys without flags inherit the global ones, and check all.
 *
 * To be called once, when all keys and global flags are known. Global flags other than
 * `r` without any key make one key of the whole line. Returns 0, or -1 with `why`.
 */
int keydef_finish(struct ordering *ordering, char why[KEYDEF_WHY]);

#endif
