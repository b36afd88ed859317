/*
 * orders - what a session's other end wants: text messages, PREFIX:JSON.
 *
 *     medusa:{"type":"linkup"}
 *     mlogin:{"type":"start","cwd":"/","term":"xterm","columns":80,"lines":25,"command":"/bin/bash","arguments":[]}
 *     mlogin:{"type":"resize","columns":132,"lines":43}
 *
 * Others are ignored, as are those that are no JSON. What a start leaves out has a default.
 */
#ifndef REMORA_ORDERS_H
#define REMORA_ORDERS_H

#include <stddef.h>

enum order_kind { ORDER_NONE, ORDER_LINKUP, ORDER_START, ORDER_RESIZE };

enum { ORDER_MAX = 64 * 1024, ORDER_ARGUMENTS = 64 };

struct order {
    enum order_kind kind;
    unsigned short columns; /* 0: not said, and so are lines */
    unsigned short lines;
    const char *cwd;
    const char *term;
    const char *argv[ORDER_ARGUMENTS + 1]; /* the command first; ends with NULL */
    char strings[ORDER_MAX];
};

/* order_read - read a message of at most ORDER_MAX bytes. Returns its kind. Uses malloc. */
enum order_kind order_read(struct order *order, const char *text, size_t len);

#endif
