#include "terminal/orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/json.h"

static const char FROM_SERVICE[] = "medusa:", FROM_USER[] = "mlogin:";
static const unsigned short COLUMNS = 80, LINES = 25;

enum { PATH_MAX_BYTES = 32, DIGITS = 5 };

static int begins(const char *text, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);

    return len >= n && memcmp(text, prefix, n) == 0;
}

static int find(struct span document, const char *path, struct span *found)
{
    size_t length;

    return json_find(document, (struct span){path, strlen(path)}, found, &length) && found->at;
}

/* The member at `path` as a C string in order->strings, from *used on; or NULL if it is no string. */
static const char *string_at(struct order *order, struct span document, const char *path, size_t *used)
{
    struct span found;
    char *start = order->strings + *used;

    if (!find(document, path, &found) || found.len < 2 || *found.at != '"')
        return NULL;
    /* Its quotes leave room for the NUL, and no escape is shorter than what it stands for. */
    size_t len = json_print(found, start);
    start[len] = '\0';
    *used += len + 1;
    return start;
}

static unsigned short number_at(struct span document, const char *path)
{
    struct span found;
    char digits[DIGITS + 1];

    if (!find(document, path, &found) || found.len > DIGITS)
        return 0;
    memcpy(digits, found.at, found.len);
    digits[found.len] = '\0';
    long value = strtol(digits, NULL, 10);
    return value > 0 && value <= 0xffff ? (unsigned short)value : 0;
}

static int is_type(struct span document, const char *type)
{
    struct span found;
    size_t len = strlen(type);

    return find(document, "type", &found) && found.len == len + 2 && memcmp(found.at + 1, type, len) == 0;
}

static void read_start(struct order *order, struct span document)
{
    size_t used = 0;
    int count = 0;

    order->cwd = string_at(order, document, "cwd", &used);
    order->term = string_at(order, document, "term", &used);
    order->argv[0] = string_at(order, document, "command", &used);
    if (order->argv[0]) {
        for (count = 1; count < ORDER_ARGUMENTS; count++) {
            char path[PATH_MAX_BYTES];

            snprintf(path, sizeof path, "arguments.%d", count - 1);
            order->argv[count] = string_at(order, document, path, &used);
            if (!order->argv[count])
                break;
        }
    } else {
        order->argv[count++] = "/bin/bash";
        order->argv[count++] = "--norc";
    }
    order->argv[count] = NULL;
    order->cwd = order->cwd ? order->cwd : "/";
    order->term = order->term ? order->term : "xterm";
    order->columns = order->columns ? order->columns : COLUMNS;
    order->lines = order->lines ? order->lines : LINES;
}

enum order_kind order_read(struct order *order, const char *text, size_t len)
{
    int by_service = begins(text, len, FROM_SERVICE);
    struct json json = {0};
    size_t prefix = sizeof FROM_SERVICE - 1; /* both are of this length */

    order->kind = ORDER_NONE;
    if ((!by_service && !begins(text, len, FROM_USER)) || len > ORDER_MAX)
        return ORDER_NONE;
    enum json_result result = json_check(&json, text + prefix, len - prefix);
    json_free(&json);
    if (result != JSON_RIGHT)
        return ORDER_NONE;
    struct span document = json_trim(text + prefix, len - prefix);
    order->columns = number_at(document, "columns");
    order->lines = number_at(document, "lines");
    if (by_service) {
        order->kind = is_type(document, "linkup") ? ORDER_LINKUP : ORDER_NONE;
    } else if (is_type(document, "start")) {
        order->kind = ORDER_START;
        read_start(order, document);
    } else if (is_type(document, "resize") && order->columns && order->lines) {
        order->kind = ORDER_RESIZE;
    }
    return order->kind;
}
