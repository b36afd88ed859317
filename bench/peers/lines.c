/*
 * lines - print about so many bytes of random lines of one kind; no other program's speed, but what they sort.
 *
 * log: a time to the microsecond and a host; hardly two are the same. word: one of 20,000, some common and most rare.
 * number: nine digits at most, a tab and a word. A seed gives the same lines everywhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 20000, CHANCES = 1 << 20, BUFFER = 1 << 20, LONGEST = 128 };

/* 20,000 to the power of 1 / CHANCES: so word N is about N times as rare as the first. */
#define GROWTH 1.000009444746323

static uint16_t words[CHANCES];
static uint64_t state;

/* SplitMix64 (Steele et al. 2014). */
static uint64_t next(void)
{
    uint64_t bits = state += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)((next() >> 32) * limit >> 32);
}

/* So many decimal digits of a value, with leading zeros. */
static char *digits(char *at, uint32_t value, int width)
{
    for (int i = width; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + width;
}

static char *text(char *at, const char *string)
{
    size_t len = strlen(string);

    memcpy(at, string, len);
    return at + len;
}

static char *log_line(char *at)
{
    uint32_t day = below(365), second = below(86400);

    at = digits(text(at, "2026-"), day / 31 + 1, 2);
    at = digits(text(at, "-"), day % 31 + 1, 2);
    at = digits(text(at, " "), second / 3600, 2);
    at = digits(text(at, ":"), second / 60 % 60, 2);
    at = digits(text(at, ":"), second % 60, 2);
    at = digits(text(at, "."), below(1000000), 6);
    at = digits(text(at, " host"), below(32), 2);
    return digits(text(at, " GET /api/v1/users 200 0."), below(100000), 5);
}

static char *word_line(char *at)
{
    return digits(text(at, "w"), words[below(CHANCES)], 5);
}

static char *number_line(char *at)
{
    uint32_t number = below(1000000000), width = 1;

    for (uint32_t rest = number; rest >= 10; rest /= 10)
        width++;
    at = digits(at, number, (int)width);
    return digits(text(at, "\tw"), below(KINDS), 5);
}

int main(int argc, char **argv)
{
    static char buffer[BUFFER];
    char *(*line)(char *) = NULL;
    uint64_t left;
    double word = 1;

    if (argc == 4)
        line = strcmp(argv[1], "log") == 0      ? log_line
               : strcmp(argv[1], "word") == 0   ? word_line
               : strcmp(argv[1], "number") == 0 ? number_line
                                                : NULL;
    if (!line) {
        fputs("usage: lines log|word|number BYTES SEED\n", stderr);
        return 2;
    }
    left = strtoull(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10);
    for (int i = 0; i < CHANCES; i++, word *= GROWTH)
        words[i] = (uint16_t)((uint32_t)word * 7919 % KINDS);
    while (left > 0) {
        char *at = buffer;
        uint64_t want = left < BUFFER - LONGEST ? left : BUFFER - LONGEST;

        while ((uint64_t)(at - buffer) < want) {
            at = line(at);
            *at++ = '\n';
        }
        if (fwrite(buffer, 1, (size_t)(at - buffer), stdout) != (size_t)(at - buffer))
            break;
        left -= want;
    }
    if (fflush(stdout) || ferror(stdout)) {
        perror("lines");
        return 1;
    }
    return 0;
}
