/* Notes of a core file that a task forged: a name is found or not, inside the bounds. */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/procfs.h>

#include "check.h"
#include "corefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[COREFILE_PROGRAM];

    memset(program, 'x', sizeof program);
    corefile_parse(data, size, program);
    CHECK(strnlen(program, sizeof program) < sizeof program);
    return 0;
}
