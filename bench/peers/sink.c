/*
 * sink - read standard input to its end, as fast as a reader can; the other end of a measured pipe.
 *
 * Touches one byte of each page, so that no page is passed without having been looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER = 1024 * 1024 };

int main(void)
{
    static char buffer[BUFFER];
    unsigned long total = 0, seen = 0;
    ssize_t got;

    while ((got = read(0, buffer, sizeof buffer)) > 0) {
        total += (unsigned long)got;
        for (ssize_t i = 0; i < got; i += 4096)
            seen += (unsigned char)buffer[i];
    }
    if (got < 0) {
        perror("sink");
        return 1;
    }
    printf("%lu %lu\n", total, seen);
    return 0;
}
