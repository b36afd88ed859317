/* Numbers as JavaScript reads and prints them, and patterns. */
#include <float.h>
#include <math.h>

#include "check.h"
#include "text/format.h"
#include "text/number.h"

static void a_number_is_printed_with_as_few_digits_as_tell_it_from_others(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {8, "8"},
        {-36.7, "-36.7"},
        {8.0 / 3, "2.6666666666666665"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.5e300, "1.5e+300"},
        {1e-6, "0.000001"},
        {1.25e-5, "0.0000125"},
        {1e-7, "1e-7"},
        {-1.5e-9, "-1.5e-9"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {9007199254740993.0, "9007199254740992"},
        {0x1p-44, "5.684341886080802e-14"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
        {HUGE_VAL, "Infinity"},
        {-HUGE_VAL, "-Infinity"},
        {NAN, "NaN"},
        {999999999999999.0, "999999999999999"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[NUMBER_ROOM + 1] = {0};

        text[number_print(cases[i].value, text)] = '\0';
        CHECK(strcmp(text, cases[i].text) == 0);
    }
}

/* With 16 digits the nearest is not the number again, but its neighbour is. */
static void powers_of_two_get_the_shorter_of_two_uneven_sides(void)
{
    for (int power = -1022; power <= 1023; power++) {
        char text[NUMBER_ROOM + 1] = {0}, plain[NUMBER_ROOM];
        double value = ldexp(1, power);
        size_t len = number_print(value, text);

        CHECK(strtod(text, NULL) == value);
        snprintf(plain, sizeof plain, "%.16e", value);
        CHECK(len <= strlen(plain));
    }
}

static void what_follows_a_number_is_ignored(void)
{
    static const struct {
        const char *text;
        size_t used;
        double value;
    } cases[] = {
        {"3 apples", 1, 3},
        {" \t-4.50x", 7, -4.5},
        {".5", 2, .5},
        {"5.", 2, 5},
        {"1e3", 3, 1000},
        {"1e", 1, 1},
        {"1e+", 1, 1},
        {"0x10", 1, 0},
        {"+Infinity", 9, HUGE_VAL},
        {"-Infinityx", 9, -HUGE_VAL},
        {"1e400", 5, HUGE_VAL},
        {"1e-400", 6, 0},
        {"1_000", 1, 1},
        {"1,5", 1, 1},
        {"1.2.3", 3, 1.2},
        {"9007199254740993", 16, 9007199254740992.0},
        {"0.1e1e1", 5, 1},
        {"1e99999999999999999999", 22, HUGE_VAL},
        {"00012", 5, 12},
        {"x", 0, 0},
        {"", 0, 0},
        {".", 0, 0},
        {"-", 0, 0},
        {"e5", 0, 0},
        {"Inf", 0, 0},
        {"nan", 0, 0},
        {"--1", 0, 0},
        {"- 1", 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 0;

        CHECK(number_parse(cases[i].text, strlen(cases[i].text), &value) == cases[i].used);
        CHECK(value == cases[i].value);
    }
}

/* 1 + 2^-53 lies between two doubles; a 1 a thousand digits later decides. */
static void digits_far_behind_can_decide(void)
{
    static char text[3000];
    double value;
    size_t len =
        (size_t)snprintf(text, sizeof text, "1.00000000000000011102230246251565404236316680908203125%02000d", 0);

    CHECK(number_parse(text, len, &value) == len && value == 1);
    text[len - 1] = '1';
    CHECK(number_parse(text, len, &value) == len && value == 1 + DBL_EPSILON);
}

static void a_pattern_prints_one_number(void)
{
    static const struct {
        const char *pattern;
        double value;
        const char *text;
    } cases[] = {
        {"%.1f", 6, "6.0"},
        {"%5d", 8, "    8"},
        {"%02d", 2, "02"},
        {"%#x", 4, "0x4"},
        {"%.2f", 0.125, "0.13"},
        {"%.0f", 2.5, "3"},
        {"%.0f", -2.5, "-3"},
        {"%.1f", 0.15, "0.1"},
        {"%d", 255.9, "255"},
        {"%d", -7.5, "-7"},
        {"%i", 1e21, "1e+21"},
        {"%u", -1, "4294967295"},
        {"%x", -1, "ffffffff"},
        {"%X", 255, "FF"},
        {"%#X", 255, "0XFF"},
        {"%#o", 8, "010"},
        {"%b", 10, "1010"},
        {"%08b", 5, "00000101"},
        {"%-5d|", 3, "3    |"},
        {"%+d", 3, "+3"},
        {"% d", 3, " 3"},
        {"%05d", -3, "-0003"},
        {"%.3d", 7, "007"},
        {"%.0d", 0, ""},
        {"%e", 12345, "1.234500e+04"},
        {"%.2E", 12345, "1.23E+04"},
        {"%g", 0.0001, "0.0001"},
        {"%G", 1e10, "1E+10"},
        {"%#08x", 1, "0x000001"},
        {"%g", 113094.5, "113095"},
        {"%e", 125432.25, "1.254323e+05"},
        {"%.0e", 25, "3e+01"},
        {"%.1g", 1500, "2e+03"},
        {"%s", 2.5, "2.5"},
        {"%6s", 2.5, "   2.5"},
        {"%.1s", 25, "2"},
        {"%c", 65, "A"},
        {"%f", 1, "1.000000"},
        {"%F", 1, "1.000000"},
        {"%ld", 1, "1"},
        {"<%d>", 1, "<1>"},
        {"%d%%", 50, "50%"},
        {"100%", 1, "100%"},
        {"%%d", 1, "%d"},
        {"%y", 1, "%y"},
        {"plain", 1, "plain"},
        {"%d %", 1, "1 %"},
        {"%5.1f", NAN, "  NaN"},
        {"%05d", HUGE_VAL, "Infinity"},
        {"%x", -HUGE_VAL, "-Infinity"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct format format;
        char text[64] = {0};
        FILE *out = fmemopen(text, sizeof text, "w");

        CHECK(out && format_read(&format, cases[i].pattern, strlen(cases[i].pattern)) == NULL);
        format_print(&format, cases[i].value, out);
        fclose(out);
        if (strcmp(text, cases[i].text) != 0)
            fprintf(stderr, "%s: %s\n", cases[i].pattern, text);
        CHECK(strcmp(text, cases[i].text) == 0);
    }
}

static void a_pattern_is_refused_with_a_reason(void)
{
    struct format format;

    CHECK(strcmp(format_read(&format, "%d %d", 5), "has more than one conversion") == 0);
    CHECK(strstr(format_read(&format, "%1001d", 6), "more than 1000"));
    CHECK(strstr(format_read(&format, "%.999999999999f", 15), "100 digits"));
}

int main(void)
{
    a_number_is_printed_with_as_few_digits_as_tell_it_from_others();
    powers_of_two_get_the_shorter_of_two_uneven_sides();
    what_follows_a_number_is_ignored();
    digits_far_behind_can_decide();
    a_pattern_prints_one_number();
    a_pattern_is_refused_with_a_reason();
    return 0;
}
