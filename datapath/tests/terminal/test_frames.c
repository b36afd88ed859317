/* WebSocket frames: what is received in pieces, what is refused, and what is sent. */
#include "check.h"
#include "terminal/frames.h"

static struct frame_in frame;

static int begin(const char *data, size_t len)
{
    return frame_begin(&frame, (const uint8_t *)data, len);
}

static void a_header_is_taken_only_when_it_is_whole(void)
{
    static const char small[] = "\x81\x05", middle[] = "\x82\x7e\x12\x34", large[] = "\x82\x7f\0\0\0\x01\0\0\0\0";

    CHECK(begin(small, 0) == 0 && begin(small, 1) == 0);
    CHECK(begin(small, 2) == 2 && frame.kind == FRAME_TEXT && frame.left == 5 && frame.last);
    CHECK(begin(middle, 3) == 0 && begin(middle, 4) == 4 && frame.kind == FRAME_BINARY && frame.left == 0x1234);
    CHECK(begin(large, 9) == 0 && begin(large, 10) == 10 && frame.left == 1ull << 32);
}

static void a_message_in_frames_keeps_its_kind_also_around_a_ping(void)
{
    memset(&frame, 0, sizeof frame);
    CHECK(begin("\x01\x03", 2) == 2 && frame.kind == FRAME_TEXT && !frame.last);
    CHECK(begin("\x89\x00", 2) == 2 && frame.kind == FRAME_PING && frame.last);
    CHECK(begin("\x80\x03", 2) == 2 && frame.kind == FRAME_TEXT && frame.last);
    CHECK(begin("\x82\x00", 2) == 2 && frame.kind == FRAME_BINARY);
}

static void what_breaks_the_protocol_is_refused(void)
{
    static const char *const wrong[] = {"\x81\x85", "\xc1\x05", "\x83\x01", "\x8b\x01",
                                        "\x09\x01", "\x88\x7e", "\x80\x01"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(&frame, 0, sizeof frame);
        CHECK(begin(wrong[i], 2) == -1);
    }
    memset(&frame, 0, sizeof frame);
    CHECK(begin("\x01\x03", 2) == 2 && begin("\x81\x03", 2) == -1); /* a message within a message */
}

static void what_is_sent_is_masked_behind_the_shortest_header(void)
{
    static const struct {
        size_t len, header;
        const char *beginning;
        size_t compared;
    } cases[] = {{0, 6, "\x82\x80", 2},
                 {125, 6, "\x82\xfd", 2},
                 {126, 8, "\x82\xfe\x00\x7e", 4},
                 {65535, 8, "\x82\xfe\xff\xff", 4},
                 {65536, 14, "\x82\xff\0\0\0\0\0\x01\0\0", 10}};
    static uint8_t room[FRAME_HEADER_MAX + 65536];
    const uint8_t key[] = {1, 2, 3, 4};
    uint32_t mask;

    memcpy(&mask, key, sizeof mask);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *payload = room + FRAME_HEADER_MAX, *start;

        for (size_t at = 0; at < cases[i].len; at++)
            payload[at] = (uint8_t)at;
        start = frame_seal(FRAME_BINARY, payload, cases[i].len, mask);
        CHECK((size_t)(payload - start) == cases[i].header);
        CHECK(memcmp(start, cases[i].beginning, cases[i].compared) == 0);
        CHECK(memcmp(payload - 4, key, 4) == 0);
        for (size_t at = 0; at < cases[i].len; at++)
            CHECK(payload[at] == (uint8_t)(at ^ key[at % 4]));
    }
}

int main(void)
{
    a_header_is_taken_only_when_it_is_whole();
    a_message_in_frames_keeps_its_kind_also_around_a_ping();
    what_breaks_the_protocol_is_refused();
    what_is_sent_is_masked_behind_the_shortest_header();
    return 0;
}
