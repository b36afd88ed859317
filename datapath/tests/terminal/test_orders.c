/* Orders of a session's other end: what is understood, the defaults, and what is ignored. */
#include "check.h"
#include "terminal/orders.h"

static struct order order;

static enum order_kind read_text(const char *text)
{
    return order_read(&order, text, strlen(text));
}

static void a_start_names_the_program_and_its_terminal(void)
{
    CHECK(read_text("mlogin:{\"type\":\"start\",\"cwd\":\"/tmp\",\"term\":\"vt100\",\"columns\":132,\"lines\":43,"
                    "\"command\":\"/bin/bash\",\"arguments\":[\"-c\",\"echo \\\"\\u00e9\\\"\",\"\"]}") == ORDER_START);
    CHECK(strcmp(order.cwd, "/tmp") == 0 && strcmp(order.term, "vt100") == 0);
    CHECK(order.columns == 132 && order.lines == 43);
    CHECK(strcmp(order.argv[0], "/bin/bash") == 0 && strcmp(order.argv[1], "-c") == 0);
    CHECK(strcmp(order.argv[2], "echo \"\xc3\xa9\"") == 0);
    CHECK(strcmp(order.argv[3], "") == 0 && order.argv[4] == NULL);
}

static void what_a_start_leaves_out_has_a_default(void)
{
    CHECK(read_text("mlogin:{\"type\":\"start\",\"columns\":0,\"lines\":70000,\"cwd\":7}") == ORDER_START);
    CHECK(strcmp(order.cwd, "/") == 0 && strcmp(order.term, "xterm") == 0);
    CHECK(order.columns == 80 && order.lines == 25);
    CHECK(strcmp(order.argv[0], "/bin/bash") == 0 && strcmp(order.argv[1], "--norc") == 0 && order.argv[2] == NULL);
}

static void more_arguments_than_there_is_room_for_are_left_out(void)
{
    char text[4096] = "mlogin:{\"type\":\"start\",\"command\":\"x\",\"arguments\":[\"a\"";

    for (int i = 0; i < 200; i++)
        strcat(text, ",\"b\"");
    strcat(text, "]}");
    CHECK(read_text(text) == ORDER_START);
    CHECK(order.argv[ORDER_ARGUMENTS - 1] != NULL && order.argv[ORDER_ARGUMENTS] == NULL);
}

static void the_rest_is_a_size_a_linkup_or_nothing(void)
{
    static const char *const nothing[] = {
        "",
        "ping",
        "mlogin:",
        "mlogin:{",
        "mlogin:[]",
        "mlogin:{\"type\":\"resize\",\"columns\":80}",
        "mlogin:{\"type\":\"linkup\"}",
        "medusa:{\"type\":\"start\"}",
        "medusa:{\"type\":\"wait\"}",
        "other:{\"type\":\"start\"}",
    };

    CHECK(read_text("medusa:{\"type\":\"linkup\"}") == ORDER_LINKUP);
    CHECK(read_text("mlogin: {\"type\": \"resize\", \"columns\": 90, \"lines\": 30}") == ORDER_RESIZE);
    CHECK(order.columns == 90 && order.lines == 30);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        CHECK(read_text(nothing[i]) == ORDER_NONE);
}

int main(void)
{
    a_start_names_the_program_and_its_terminal();
    what_a_start_leaves_out_has_a_default();
    more_arguments_than_there_is_room_for_are_left_out();
    the_rest_is_a_size_a_linkup_or_nothing();
    return 0;
}
