/* JSON: what is right, what a path finds, and how JavaScript would print it. */
#include "check.h"
#include "text/json.h"

static struct json json;

static enum json_result check(const char *text)
{
    return json_check(&json, text, strlen(text));
}

static void a_line_is_right_or_wrong_as_a_whole(void)
{
    static const char *const right[] = {
        "{}",
        " [ ] ",
        "0",
        "-0.5e+10",
        "\"\"",
        "\"\\u00e9\\\"\\/\"",
        "null",
        "true",
        "[1,[2,{\"a\":[]}],{}]",
        "{\"a\":1,\"a\":2}",
        "\t{ \"a\" : [ 1 , 2 ] } \t",
        "\"\x7f\xff\"",
        "1E5",
        "{\"\":{\"\":0}}",
    };
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1}",
        "{\"a\":1]",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "nul",
        "truee",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"a\tb\"",
        "1 2",
        "{} {}",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\xef\xbb\xbf{}",
        "\"\\",
        "{\"a\" 1}",
        "[1]]",
    };

    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        CHECK(check(right[i]) == JSON_RIGHT);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(check(wrong[i]) == JSON_WRONG);
    CHECK(json_check(&json, "1\0", 2) == JSON_WRONG);
}

static void depth_is_limited_by_the_text_only(void)
{
    enum { DEEP = 100000 };
    static char text[2 * DEEP];

    memset(text, '[', DEEP);
    memset(text + DEEP, ']', DEEP);
    CHECK(json_check(&json, text, 2 * DEEP) == JSON_RIGHT);
    CHECK(json_check(&json, text, 2 * DEEP - 1) == JSON_WRONG);
    CHECK(json_print((struct span){text, 2 * DEEP}, text) == 0);
}

/* What the path finds in the text, printed; "(nothing)" if it finds nothing. */
static const char *found(const char *text, const char *path)
{
    static char printed[1000];
    struct span value;
    size_t length;

    CHECK(check(text) == JSON_RIGHT);
    if (!json_find(json_trim(text, strlen(text)), (struct span){path, strlen(path)}, &value, &length))
        return "(nothing)";
    if (value.at)
        printed[json_print(value, printed)] = '\0';
    else
        snprintf(printed, sizeof printed, "length %zu", length);
    return printed;
}

static void a_path_finds_what_javascript_finds(void)
{
    static const char *const cases[][3] = {
        {"{\"a\":1}", "a", "1"},
        {"{\"a\":1}", "b", "(nothing)"},
        {" { \"a\" : { \"b\" : \"x\" } } ", "a.b", "x"},
        {"{\"a\":1,\"b\":[{}],\"a\":2}", "a", "2"},
        {"{\"a\":null}", "a", "null"},
        {"{\"a\":null}", "a.b.c", "null"},
        {"{\"a\":0.0}", "a.b", "0"},
        {"{\"a\":false}", "a.b", "false"},
        {"{\"a\":\"\"}", "a.b", ""},
        {"{\"a\":5}", "a.b", "(nothing)"},
        {"{\"a\":\"x\"}", "a.b", "(nothing)"},
        {"{\"a\":[10,20,[30]]}", "a.1", "20"},
        {"{\"a\":[10,20,[30]]}", "a.2.0", "30"},
        {"{\"a\":[1,2]}", "a.2", "(nothing)"},
        {"{\"a\":[1,2]}", "a.01", "(nothing)"},
        {"{\"a\":[1,2]}", "a.length", "length 2"},
        {"{\"a\":[]}", "a.length.b", "length 0"},
        {"{\"a\":[1]}", "a.length.b", "(nothing)"},
        {"[7,8]", "1", "8"},
        {"5", "a", "(nothing)"},
        {"{\"\":{\"\":3}}", ".", "3"},
        {"{\"\":3}", "", "3"},
        {"{\"a.b\":1}", "a.b", "(nothing)"},
        {"{\"\\u0061\":1}", "a", "1"},
        {"{\"\\\\\\\"\":1}", "\\\"", "1"},
        {"{\"\\u00e9\":1}", "\xc3\xa9", "1"},
        {"{\"a\\\\\":2,\"b\":\"}\",\"c\":3}", "c", "3"},
        {"{\"x\":[[],{},\"]\"],\"y\":4}", "y", "4"},
        {"{\"a\\u0062\":1}", "abc", "(nothing)"},
        {"{\"length\":1}", "length", "1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(found(cases[i][0], cases[i][1]), cases[i][2]) != 0) {
            fprintf(stderr, "%s %s: %s\n", cases[i][0], cases[i][1], found(cases[i][0], cases[i][1]));
            exit(1);
        }
}

static void a_value_is_printed_as_javascript_prints_it(void)
{
    static const char *const cases[][2] = {
        {"1.50", "1.5"},
        {"-0", "0"},
        {"1e21", "1e+21"},
        {"100000000000000000000000", "1e+23"},
        {"1e3", "1000"},
        {"-12", "-12"},
        {"0.1", "0.1"},
        {"123456789012345678", "123456789012345680"},
        {"\"a\\n\\u0041\\t\"", "a\nA\t"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\\ude00\"", "\xef\xbf\xbd"},
        {"\"\\u00e9\"", "\xc3\xa9"},
        {"\"\\u20ac\"", "\xe2\x82\xac"},
        {"[]", ""},
        {"[null]", ""},
        {"[1,null,\"x\",[2,[3,null]],{\"a\":[1]},true]", "1,,x,2,3,,[object Object],true"},
        {"[ \"a,b\" , [ ] , \"]\" ]", "a,b,,]"},
        {"{\"a\":1}", "[object Object]"},
        {"[[null]]", ""},
        {"[[],[]]", ","},
        {"true", "true"},
        {"\"\\b\\f\\r\\/\\\\\"", "\b\f\r/\\"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64 * JSON_GROWTH];
        struct span value = json_trim(cases[i][0], strlen(cases[i][0]));

        CHECK(check(cases[i][0]) == JSON_RIGHT);
        text[json_print(value, text)] = '\0';
        if (strcmp(text, cases[i][1]) != 0)
            fprintf(stderr, "%s: %s\n", cases[i][0], text);
        CHECK(strcmp(text, cases[i][1]) == 0);
    }
}

int main(void)
{
    a_line_is_right_or_wrong_as_a_whole();
    depth_is_limited_by_the_text_only();
    a_path_finds_what_javascript_finds();
    a_value_is_printed_as_javascript_prints_it();
    json_free(&json);
    return 0;
}
