/*
 * agent_socket - find the agent by the name of its socket.
 *
 * A container is started by somebody who cannot hand it a descriptor. So its lackey
 * connects, to a name in a directory that tasks see read-only, and so it is the agent who
 * is there.
 */
#ifndef REMORA_AGENT_SOCKET_H
#define REMORA_AGENT_SOCKET_H

/*
 * agent_connect - connect to the SOCK_SEQPACKET socket at `path`, as soon as somebody listens there.
 *
 * Waits up to `patience_ms` for a listening socket to be renamed to `path`. Returns a blocking
 * descriptor, close-on-exec, or -1 with errno: ETIMEDOUT if nobody came.
 */
int agent_connect(const char *path, int patience_ms);

#endif
