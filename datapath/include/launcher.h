/*
 * launcher - what an allocation runs while an instance of ours has its place.
 *
 *     launcher SOCKET
 *
 * Connects to the node's agent at the unix socket SOCKET and says one line,
 *
 *     {"alloc":"ID","pool":7,"instances":"JOB/PHASE","memory_mb":1024,"disk_gb":8}
 *
 * made of REMORA_ALLOC, REMORA_POOL, REMORA_INSTANCES, REMORA_MEMORY_MB and REMORA_DISK_GB of
 * the environment. Then it stays for as long as the agent does: the agent may have one
 * instance while this connection lives, and ends it when that breaks.
 *
 * The agent says "done" and hangs up when it has ended the instance for good. SIGTERM (or
 * SIGINT) is told to it as the line "leave"; then it ends the instance, soon, and hangs up. An
 * agent that hangs up without a word was killed: the next one is called, for
 * LAUNCHER_PATIENCE seconds, so that the place is not lost with it.
 *
 * Exits with 0 after "done", 1 if there is no agent, 2 if it was called wrongly.
 */
#ifndef REMORA_LAUNCHER_H
#define REMORA_LAUNCHER_H

#define LAUNCHER_PATIENCE 30       /* seconds */
#define LAUNCHER_PAUSE_MS 200      /* between calls */
#define LAUNCHER_DONE "done\n"
#define LAUNCHER_LEAVE "leave\n"

#endif
