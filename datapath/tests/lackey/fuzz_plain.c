/* Any script: if it is plain, its words are those that the C library's word expansion makes of it. */
#include <stdint.h>
#include <wordexp.h>

#include "check.h"
#include "lackey/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char script[PLAIN_BYTES + 2];
    static struct plain plain;
    wordexp_t expected;
    size_t count = 0;

    size = size < sizeof script ? size : sizeof script - 1;
    memcpy(script, data, size);
    script[size] = '\0';
    if (!plain_parse(&plain, script)) {
        CHECK(plain.words[0] == NULL);
        return 0;
    }
    if (strstr(script, "''") || strstr(script, "\"\""))
        return 0; /* of `''x` glibc makes two words */
    CHECK(wordexp(script, &expected, WRDE_NOCMD | WRDE_UNDEF) == 0);
    for (; plain.words[count]; count++)
        CHECK(count < expected.we_wordc && strcmp(plain.words[count], expected.we_wordv[count]) == 0);
    CHECK(count == expected.we_wordc);
    wordfree(&expected);
    return 0;
}
