/*
 * reason - the reason of a refusal, as a clause for people.
 */
#ifndef REMORA_REASON_H
#define REMORA_REASON_H

struct reason {
    char text[120];
};

/* Write the clause `format...: strerror(errno)`, cut to fit; returns -1 so that callers can pass it on. */
int reason_errno(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
