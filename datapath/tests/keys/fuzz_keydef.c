/*
 * Any text is a key or is refused with a sentence; a key is what its parts say when they are written down again.
 */
#include <stdint.h>

#include "check.h"
#include "keys/keydef.h"

enum { LONGEST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct key *key, char *text, size_t room)
{
    static const char LETTERS[] = "dfghiMnrV";
    char flags[sizeof LETTERS] = "", end[32] = "";
    int used = 0;

    for (const char *letter = LETTERS; *letter; letter++)
        if (key->flags & keydef_flag(*letter))
            flags[used++] = *letter;
    if (key->end_field != KEY_FAR)
        snprintf(end, sizeof end, ",%u.%u%s", key->end_field + 1, key->end_char, key->flags & KEY_END_B ? "b" : "");
    snprintf(text, room, "%u.%u%s%s%s", key->start_field + 1, key->start_char + 1, key->flags & KEY_B ? "b" : "", end,
             flags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[LONGEST + 1];
    char why[KEYDEF_WHY] = "", again[128];
    struct key key, same;

    if (size > LONGEST)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (keydef_read(text, &key, why) < 0) {
        CHECK(why[0] == '"' && strstr(why, "\" is no key: ") && strlen(why) < KEYDEF_WHY);
        return 0;
    }
    write_again(&key, again, sizeof again);
    CHECK(keydef_read(again, &same, why) == 0);
    CHECK(same.start_field == key.start_field && same.start_char == key.start_char && same.flags == key.flags);
    CHECK(same.end_field == key.end_field && same.end_char == key.end_char && same.order == key.order);
    return 0;
}
