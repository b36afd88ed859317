/*
 * agent_socket - find the agent by the name of its socket.
 *
 * A container is started by its runtime, which cannot pass it a descriptor. So its lackey
 * connects to a name in a directory that tasks see read-only: only the agent can listen
 * there.
 */
#ifndef REMORA_AGENT_SOCKET_H
#define REMORA_AGENT_SOCKET_H

/*
 * agent_connect - connect to the SOCK_SEQPACKET socket at `path`, as soon as it is listened at.
 *
 * Waits up to `patience_ms` for a listening socket to be renamed to `path`. Returns a blocking
 * descriptor, close-on-exec, or -1 with errno: ETIMEDOUT if none appeared.
 */
int agent_connect(const char *path, int patience_ms);

#endif
