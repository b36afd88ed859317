/*
 * frames - the client's half of the WebSocket protocol (RFC 6455), without I/O.
 *
 * What comes is parsed in place, as much of it as there is: a payload is handed out in
 * pieces, so that no message has to fit into memory. What goes is one header before each
 * payload; the payload is masked in place.
 */
#ifndef REMORA_FRAMES_H
#define REMORA_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum frame_kind {
    FRAME_MORE = 0, /* the continuation of a message */
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10
};

enum {
    FRAME_HEADER_MAX = 14,  /* of a frame that is sent */
    FRAME_CONTROL_MAX = 125 /* payload of close, ping and pong */
};

/* The frame that is being received; zero before the first. */
struct frame_in {
    uint64_t left;           /* bytes of its payload that have not been handed out */
    enum frame_kind kind;    /* of the message, also in its later frames */
    enum frame_kind message; /* of the message that control frames interrupt */
    int last;                /* it is the last frame of its message */
};

/*
 * frame_begin - parse the header at the beginning of `data`.
 *
 * Returns its length; 0 if more bytes are needed; or -1 if it breaks the protocol: it is
 * masked, has reserved bits, is a control frame that is long or in parts, or continues
 * nothing. Then `frame` describes the payload that follows.
 */
int frame_begin(struct frame_in *frame, const uint8_t *data, size_t len);

/*
 * frame_seal - write the header of a whole message before its payload, and mask the payload.
 *
 * `payload` is preceded by FRAME_HEADER_MAX bytes of room. Returns where the frame begins.
 */
uint8_t *frame_seal(enum frame_kind kind, uint8_t *payload, size_t len, uint32_t mask);

#endif
