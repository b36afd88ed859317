#include "terminal/frames.h"

#include <string.h>

enum {
    LAST = 0x80, /* in the first byte */
    RESERVED = 0x70,
    KIND = 0x0f,
    MASKED = 0x80, /* in the second one */
    LENGTH = 0x7f,
    LENGTH_16 = 126, /* the length is in the next two bytes */
    LENGTH_64 = 127, /* ... in the next eight */
    MASK_BYTES = 4
};

static int is_control(enum frame_kind kind)
{
    return kind >= FRAME_CLOSE;
}

static int is_known(unsigned kind)
{
    return kind <= FRAME_BINARY || (kind >= FRAME_CLOSE && kind <= FRAME_PONG);
}

static uint64_t big_endian(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *at++;
    return value;
}

int frame_begin(struct frame_in *frame, const uint8_t *data, size_t len)
{
    size_t extra;

    if (len < 2)
        return 0;
    unsigned kind = data[0] & KIND, length = data[1] & LENGTH;
    int last = (data[0] & LAST) != 0;
    if ((data[0] & RESERVED) || (data[1] & MASKED) || !is_known(kind))
        return -1;
    if (is_control(kind) ? !last || length > FRAME_CONTROL_MAX : (kind == FRAME_MORE) != (frame->message != 0))
        return -1;
    extra = length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
    if (len < 2 + extra)
        return 0;
    frame->left = extra ? big_endian(data + 2, extra) : length;
    frame->last = last;
    if (is_control(kind)) {
        frame->kind = kind;
    } else {
        frame->kind = kind == FRAME_MORE ? frame->message : kind;
        frame->message = last ? FRAME_MORE : frame->kind;
    }
    return (int)(2 + extra);
}

uint8_t *frame_seal(enum frame_kind kind, uint8_t *payload, size_t len, uint32_t mask)
{
    size_t extra = len < LENGTH_16 ? 0 : len <= UINT16_MAX ? 2 : 8;
    uint8_t *start = payload - MASK_BYTES - extra - 2;
    uint8_t key[MASK_BYTES];

    start[0] = (uint8_t)(LAST | kind);
    start[1] = (uint8_t)(MASKED | (extra == 0 ? len : extra == 2 ? LENGTH_16 : LENGTH_64));
    for (size_t i = 0; i < extra; i++)
        start[2 + i] = (uint8_t)(len >> (8 * (extra - 1 - i)));
    memcpy(key, &mask, sizeof key);
    memcpy(payload - MASK_BYTES, key, sizeof key);
    for (size_t i = 0; i < len; i++)
        payload[i] ^= key[i % MASK_BYTES];
    return start;
}
