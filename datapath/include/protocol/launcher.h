/*
 * launcher - the program of a Nomad allocation, which reserves an instance's place with the agent.
 *
 *     launcher SOCKET
 *
 * It connects to the node's agent at the unix socket SOCKET and sends one line,
 *
 *     {"alloc":"ID","pool":7,"instances":"JOB/PHASE","memory_mb":1024,"disk_gb":8}
 *
 * made of REMORA_ALLOC, REMORA_POOL, REMORA_INSTANCES, REMORA_MEMORY_MB and REMORA_DISK_GB of
 * the environment. Then it stays connected: the agent may have one instance while this
 * connection lives, and ends the instance when it breaks.
 *
 * The agent sends "done" and closes the connection when it has ended the instance for good. On
 * SIGTERM (or SIGINT) the launcher sends "leave"; then the agent soon ends the instance, and
 * closes the connection. An agent that closes without "done" was killed: the launcher tries to
 * connect to the next one, for LAUNCHER_PATIENCE seconds, so that the reservation survives.
 *
 * Exits with 0 after "done", 1 if there is no agent, 2 for a usage error.
 */
#ifndef REMORA_LAUNCHER_H
#define REMORA_LAUNCHER_H

#define LAUNCHER_PATIENCE 30  /* seconds */
#define LAUNCHER_PAUSE_MS 200 /* between attempts to connect */
#define LAUNCHER_DONE "done\n"
#define LAUNCHER_LEAVE "leave\n"

#endif
