/* Notes of a core file that a task forged: a name is found or not, inside the bounds. */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/procfs.h>

#include "check.h"
#include "corefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned i, uint8_t *data, size_t cap);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[COREFILE_PROGRAM];

    memset(program, 'x', sizeof program);
    corefile_parse(data, size, program);
    CHECK(strnlen(program, sizeof program) < sizeof program);
    return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *data, size_t cap)
{
    ElfW(Nhdr) other = {.n_namesz = 5, .n_descsz = 8 * i, .n_type = NT_PRSTATUS};
    ElfW(Nhdr) wanted = {.n_namesz = 5, .n_descsz = sizeof(struct elf_prpsinfo), .n_type = NT_PRPSINFO};
    struct elf_prpsinfo info = {.pr_fname = "awk"};
    size_t first = sizeof other + 8 + other.n_descsz, second = sizeof wanted + 8;

    if (i > 3 || first + second + sizeof info > cap)
        return 0;
    memset(data, 0, first + second);
    memcpy(data, &other, sizeof other);
    memcpy(data + first, &wanted, sizeof wanted);
    memcpy(data + first + second, &info, sizeof info);
    return first + second + sizeof info;
}
