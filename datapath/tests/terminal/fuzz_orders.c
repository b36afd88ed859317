/*
 * Any bytes as what a session's other end sends: as frames, whole or in two pieces, and as a text message.
 */
#include <stdint.h>

#include "check.h"
#include "terminal/frames.h"
#include "terminal/orders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walk over frames. Returns how many bytes belong to whole headers and payloads that have come. */
static size_t walk(const uint8_t *data, size_t size, struct frame_in *frame)
{
    size_t at = 0;

    while (at < size) {
        if (frame->left == 0) {
            int header = frame_begin(frame, data + at, size - at);

            CHECK(header <= (int)(size - at));
            if (header <= 0)
                return at;
            CHECK(frame->kind != FRAME_MORE);
            CHECK(frame->kind < FRAME_CLOSE || (frame->last && frame->left <= FRAME_CONTROL_MAX));
            at += (size_t)header;
        }
        size_t n = frame->left < size - at ? (size_t)frame->left : size - at;
        at += n;
        frame->left -= n;
    }
    return at;
}

static void check_frames(const uint8_t *data, size_t size)
{
    struct frame_in whole = {0}, pieces = {0};
    size_t end = walk(data, size, &whole);
    size_t first = walk(data, size / 2, &pieces);

    CHECK(first + walk(data + first, size - first, &pieces) == end);
    CHECK(memcmp(&whole, &pieces, sizeof whole) == 0);
}

static void check_string(const struct order *order, const char *text)
{
    const char *end = order->strings + sizeof order->strings;

    if (text >= order->strings && text < end)
        CHECK(memchr(text, '\0', (size_t)(end - text)));
    else
        CHECK(strlen(text) < 16); /* a default */
}

static void check_order(const uint8_t *data, size_t size)
{
    static struct order order;

    if (order_read(&order, (const char *)data, size) == ORDER_RESIZE)
        CHECK(order.columns && order.lines);
    if (order.kind != ORDER_START)
        return;
    CHECK(order.columns && order.lines && order.argv[0]);
    check_string(&order, order.cwd);
    check_string(&order, order.term);
    size_t count = 0;
    for (; order.argv[count]; count++)
        check_string(&order, order.argv[count]);
    CHECK(count <= ORDER_ARGUMENTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_frames(data, size);
    check_order(data, size);
    return 0;
}
