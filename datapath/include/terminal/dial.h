/*
 * dial - requests to the service at MANTA_URL, a plain HTTP endpoint on this instance's loopback.
 *
 * The agent is at its other end, and adds the job's credentials. So there is neither TLS nor
 * a name to look up, and a static program can do without a certificate store and a resolver.
 */
#ifndef REMORA_DIAL_H
#define REMORA_DIAL_H

#include <stddef.h>
#include <stdint.h>

enum { DIAL_HEAD_MAX = 16 * 1024 };

/* What came in answer: a head, then bytes that follow it. */
struct dial_reply {
    int status;
    size_t head; /* bytes of the head */
    size_t have; /* bytes of `data` */
    uint8_t data[DIAL_HEAD_MAX];
};

/* dial - connect to http://ADDRESS[:PORT]/, where ADDRESS is IPv4 or localhost. The socket, or -1 with errno. */
int dial(const char *url);

/*
 * dial_ask - send a request of these header lines (each with its CR LF), and read the head of the reply.
 *
 * Returns 0, or -1 with errno: EPROTO if the connection ended before. A status of 0 is no reply of HTTP.
 */
int dial_ask(int fd, const char *method, const char *path, const char *headers, struct dial_reply *reply);

#endif
