/*
 * pass - descriptors and small messages between agent, lackey and in-instance tools.
 *
 * One message is one packet of a SOCK_SEQPACKET unix socket: the kernel keeps
 * boundaries, delivers a packet with its descriptors or not at all, and reports to each
 * end when the other is gone. So there is no framing to parse and nothing to resume. A
 * packet is a `struct pass_header`, then a payload whose shape the type says. Both ends
 * run on one machine: integers are native.
 *
 *   agent <-> lackey            one socket per instance, made before the lackey
 *     SCRIPT  ->  store this script in a slot (flags): PASS_SLOT_EXEC, PASS_SLOT_INIT, PASS_SLOT_SHELL; with
 *                 PASS_PIPED besides, its tasks print into pipes that end in their files
 *     ENV     ->  environment common to all tasks: "K=V\0K=V\0..."; the lackey adds SHELL
 *     EVENTS  ->  1 descriptor: a file with a line "oom_kill N", how many processes of the
 *                 instance the memory cap has killed; read after each task
 *     RUN     ->  queue a task: 3 descriptors (stdin, stdout, stderr), flags = script
 *                 slot, payload = environment of this task in the form of ENV
 *     SHELL   ->  start a program beside task `task`, if it runs: 3 descriptors, flags = script
 *                 slot, payload = variables besides the task's, in the form of ENV. BEGUN follows
 *     STOP    ->  kill task `task` if it runs, drop it if it is queued; DONE follows
 *     READY   <-  the instance is ready; payload = struct pass_ready. A child of the agent
 *                 adds its /dev/shm, if that is its own; no later message brings descriptors
 *     BEGUN   <-  the program beside a task has begun; flags = an errno if it has not, ESRCH
 *                 if the task does not run
 *     DONE    <-  a task ended, none of its processes is left; payload = struct pass_done
 *
 *   lackey <-> waiting bash     its standard input (lackey/prefork.h)
 *     BEGUN   <-  it has started: `task` 0; or a task has: `task` is its process id, or flags = an errno
 *     RUN     ->  fork for a task: 3 descriptors and its own variables, as above
 *
 *   tool <-> agent              one connection per tool run, to the instance's socket
 *     OPEN    ->  payload = struct pass_open, name, headers
 *     GRANT   <-  with one descriptor (`count` for a split), write-only, to write into
 *     COMMIT  ->  the files are complete
 *     OK      <-  done; payload = name of the object (nothing for split and reference)
 *     REFUSED <-  flags = exit status that the tool should end with; payload = one sentence
 *
 *   agent -> task that merges   its standard input, which is such a socket
 *     FILE    ->  1 descriptor: an input, as a file that can be read anywhere; flags = its
 *                 number among the dictionaries, from 1, or 0; payload = its name. The agent
 *                 closes its end after the last one
 *
 * A message from an instance is hostile until checked: the receiver trusts no length,
 * and a packet larger than PASS_MAX, a truncated one, or one with more descriptors
 * than PASS_MAX_FDS is an error that closes the connection.
 */
#ifndef REMORA_PASS_H
#define REMORA_PASS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi begin */
enum {
    PASS_MAX =
        160 * 1024,    /* bytes of a packet; a job document is at most 100000, and the default send buffer 208 KiB */
    PASS_MAX_FDS = 250 /* the kernel's SCM_MAX_FD is 253 */
};

enum pass_type {
    PASS_SCRIPT = 1,
    PASS_ENV = 2,
    PASS_RUN = 3,
    PASS_STOP = 4,
    PASS_EVENTS = 5,
    PASS_SHELL = 6,
    PASS_READY = 16,
    PASS_DONE = 17,
    PASS_BEGUN = 18,
    PASS_FILE = 24,
    PASS_OPEN = 32,
    PASS_COMMIT = 33,
    PASS_GRANT = 48,
    PASS_OK = 49,
    PASS_REFUSED = 50
};

enum pass_slot { PASS_SLOT_EXEC = 0, PASS_SLOT_INIT = 1, PASS_SLOT_SHELL = 2, PASS_SLOTS = 3 };

enum pass_script_flags { PASS_PIPED = 256 };

struct pass_header {
    uint32_t type;
    uint32_t flags;
    uint64_t task; /* agent <-> lackey: the agent's number for the task; else 0 */
};

/* The isolation in force besides namespaces and users, depending on the kernel. */
enum pass_holds {
    PASS_HOLDS_CALLS = 1,   /* system calls are filtered */
    PASS_HOLDS_FILES = 2,   /* only shown files can be opened, and only those of the instance changed */
    PASS_HOLDS_SOCKETS = 4, /* abstract unix sockets of others are out of reach */
    PASS_HOLDS_SIGNALS = 8  /* other processes of the same user are out of reach */
};

/* The isolation that the lackey could set up. */
struct pass_ready {
    uint32_t namespaces; /* 1: PID, mount, user namespaces; 0: subreaper only */
    int32_t pid;         /* the lackey's process id as the agent sees it */
    uint32_t holds;      /* enum pass_holds */
    char why[120];       /* when namespaces == 0: what the kernel refused */
};

enum pass_done_flags {
    PASS_CORE = 1,    /* a process of the task dumped core */
    PASS_STOPPED = 2, /* ended by STOP */
    PASS_SETUP = 4,   /* the task never started: `status` is an errno */
    PASS_MEMORY = 8,  /* the memory cap killed some process of the task (with EVENTS only) */
    /* What it printed could not all be written to its files, so it was ended: `status` is an errno. With PASS_PIPED. */
    PASS_UNSAVED = 16
};

struct pass_done {
    int32_t status;      /* as from waitpid(2), of the first process */
    uint32_t flags;      /* enum pass_done_flags */
    uint64_t started_ns; /* CLOCK_MONOTONIC */
    uint64_t ended_ns;
    uint64_t user_us; /* of all processes of the task that were waited for */
    uint64_t sys_us;
    uint64_t max_rss_kb; /* of the largest single process */
    /* PASS_CORE: the core file's path as the agent can open it, relative to the work directory; "": none was found. */
    char core[256];
    char program[32]; /* PASS_CORE: name of the program that dumped, "" if unknown */
};

enum pass_open_kind {
    PASS_PIPE = 1,      /* mpipe: one output of the task */
    PASS_TEE = 2,       /* mtee: a plain object */
    PASS_REFERENCE = 3, /* mcat: an output by name; OK follows at once, no GRANT */
    PASS_SPLIT = 4      /* msplit: `count` outputs, the i-th for reducer i */
};

enum pass_open_flags { PASS_PARENTS = 1 }; /* make missing parent directories */

struct pass_open {
    uint32_t kind;
    uint32_t flags;
    int32_t reducer;      /* -1: not given */
    uint32_t count;       /* PASS_SPLIT: 1 ... PASS_MAX_FDS */
    uint32_t name_len;    /* bytes of the name that follow; 0: the agent names it */
    uint32_t headers_len; /* bytes of headers after the name: "Name: value\n" each */
};

/*
 * pass_send - send one packet.
 *
 * `fds` are duplicated into the receiver; the caller keeps its own. Never raises
 * SIGPIPE. Returns 0, or -1 with errno: EAGAIN (non-blocking socket, full), EMSGSIZE
 * (payload over PASS_MAX), EPIPE or ECONNRESET (the other end is gone).
 */
int pass_send(int sock, const struct pass_header *header, const void *payload, size_t len, const int *fds, size_t nfds);

/*
 * pass_recv - receive one packet into `payload` (of `cap` bytes) and `fds` (of `*nfds`).
 *
 * On success returns the payload's length (0 is a packet without payload), sets `*nfds`
 * to the number of descriptors received, all close-on-exec and owned by the caller.
 * Returns -1 with errno: ENOTCONN (the other end closed), EAGAIN (non-blocking, no
 * packet), EBADMSG (shorter than a header, truncated, or too many descriptors: those
 * that came are closed).
 */
ssize_t pass_recv(int sock, struct pass_header *header, void *payload, size_t cap, int *fds, size_t *nfds);

/*
 * pass_parse_open - check the payload of an OPEN that a task sent.
 *
 * Returns NULL and points `name` and `headers` (not NUL-terminated, of the lengths in
 * `*open`) into `payload`; or returns one sentence saying what is wrong with it.
 * Checked: lengths that fill the payload exactly, known kind and flags, `reducer` not
 * below -1, `count` from 1 to PASS_MAX_FDS for a split, no NUL in name or headers. The
 * receiver checks the meaning of name and headers.
 */
const char *pass_parse_open(const void *payload, size_t len, struct pass_open *open, const char **name,
                            const char **headers);

/* cffi end */

#endif
