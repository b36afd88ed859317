#include "lackey/lackey.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lackey/beneath.h"
#include "cores/corefile.h"
#include "cores/coreplace.h"
#include "cores/dumping.h"
#include "lackey/environment.h"
#include "lackey/shell.h"

enum { DUMP_SECONDS = 5 };

_Static_assert(sizeof((struct pass_done *)0)->program >= (size_t)COREFILE_PROGRAM, "a program's name fits");

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int report(struct lackey *lackey, uint64_t task, const struct pass_done *done)
{
    struct pass_header header = {.type = PASS_DONE, .task = task};

    return pass_send(lackey->sock, &header, done, sizeof *done, NULL, 0);
}

/* ---- core files ---- */

static void keep_core(const struct lackey *lackey, const char *path, struct pass_done *done)
{
    if (!done->core[0]) /* only the first one counts */
        coreplace_keep(lackey->places, path, lackey->running->task, done->core, sizeof done->core);
}

/* ---- the running task ---- */

/* Check for core files of the running task; 1 if there was one. Of several, the latest before one is kept counts. */
static int see_cores(struct lackey *lackey, int all, char path[COREWATCH_PATH])
{
    struct corewatch_found found;

    if (!corewatch_check(&lackey->watch, all, &found))
        return 0;
    lackey->done.flags |= PASS_CORE;
    if (lackey->done.core[0])
        return 1;
    strcpy(path, found.path);
    strcpy(lackey->done.program, found.program);
    return 1;
}

/* Keep a whole core file under its own name, before the other processes are killed,
 * which would truncate their dumps. */
static void save_core(struct lackey *lackey, char path[COREWATCH_PATH])
{
    dumping_wait(DUMP_SECONDS);
    see_cores(lackey, 0, path);
    if (!path[0])
        return;
    /* The event may be late, and about an earlier file of this name: what is kept is the one that is there now.
     * A second dump may have begun meanwhile, into the same file: it is read when that has ended, too. */
    int kept = beneath_file(lackey->watch.root, path + 1);
    keep_core(lackey, path, &lackey->done);
    dumping_wait(DUMP_SECONDS);
    if (kept >= 0) {
        corefile_parse_file(kept, lackey->done.program);
        close(kept);
    }
}

/* End the running task with all its processes, and report to the agent. */
static int finish(struct lackey *lackey, char path[COREWATCH_PATH])
{
    struct queued *run = lackey->running;
    struct pass_done *done = &lackey->done;

    if ((path[0] || lackey->usage.dumped) && !(done->flags & PASS_STOPPED))
        save_core(lackey, path);
    shell_end(lackey);
    task_end(&lackey->setting, lackey->pid, &done->status, &lackey->usage, &lackey->prefork);
    done->ended_ns = now();
    see_cores(lackey, 1, path);
    int ended_by_itself = !(done->flags & (PASS_STOPPED | PASS_SETUP));
    if (lackey->usage.dumped || (ended_by_itself && corewatch_tells(&lackey->watch, done->status)))
        done->flags |= PASS_CORE;
    if (oomkills_more(&lackey->kills))
        done->flags |= PASS_MEMORY;
    if (path[0])
        keep_core(lackey, path, done);
    int unsaved = outpipes_close(&lackey->outpipes);
    if (unsaved) {
        done->flags |= PASS_UNSAVED;
        done->status = unsaved;
    }
    done->user_us = lackey->usage.user_us;
    done->sys_us = lackey->usage.sys_us;
    done->max_rss_kb = lackey->usage.max_rss_kb;
    lackey->running = NULL;
    int result = report(lackey, run->task, done);
    free(run);
    return result;
}

static int start(struct lackey *lackey, struct queued *run)
{
    lackey->running = run;
    lackey->done = (struct pass_done){.started_ns = now()};
    lackey->usage = (struct task_usage){0};
    lackey->pid = lackey_begin(lackey, run);
    int error = errno;
    queued_close(run);
    if (lackey->pid > 0)
        return 0;
    lackey->done.status = error;
    lackey->done.flags = PASS_SETUP;
    char no_core[COREWATCH_PATH] = "";
    return finish(lackey, no_core);
}

static int start_next(struct lackey *lackey)
{
    struct queued *run;

    while (!lackey->running && (run = queue_take(&lackey->queue)))
        if (start(lackey, run) < 0)
            return -1;
    return 0;
}

static int children_ended(struct lackey *lackey)
{
    char no_core[COREWATCH_PATH] = "";
    int ended = task_reap(lackey->pid, &lackey->done.status, &lackey->usage, &lackey->prefork);

    if (lackey->running && (ended || lackey->usage.dumped))
        return finish(lackey, no_core);
    return 0;
}

static int files_closed(struct lackey *lackey)
{
    char path[COREWATCH_PATH] = "";

    return see_cores(lackey, 0, path) && lackey->running ? finish(lackey, path) : 0;
}

/* Handle output of the task. If it cannot be saved the task ends, since its output would be wrong. */
static int printed(struct lackey *lackey, int which)
{
    char no_core[COREWATCH_PATH] = "";

    return lackey->outpipes.open && outpipes_pour(&lackey->outpipes, which) < 0 ? finish(lackey, no_core) : 0;
}

/* ---- the agent's messages ---- */

static int protocol_error(const char *what)
{
    fprintf(stderr, "lackey: %s from the agent\n", what);
    errno = EPROTO;
    return -1;
}

static char *copy(const char *payload, size_t len)
{
    char *kept = malloc(len + 1);

    if (kept) {
        memcpy(kept, payload, len);
        kept[len] = '\0';
    }
    return kept;
}

static int keep_script(struct lackey *lackey, uint32_t flags, const char *payload, size_t len)
{
    uint32_t slot = flags & ~(uint32_t)PASS_PIPED;

    if (slot >= PASS_SLOTS || memchr(payload, '\0', len))
        return protocol_error("a script for no slot, or with a NUL byte,");
    prefork_end(&lackey->prefork);
    free(lackey->scripts[slot]);
    lackey->piped[slot] = slot != flags;
    lackey->scripts[slot] = copy(payload, len);
    if (!lackey->scripts[slot])
        return -1;
    plain_parse(&lackey->plain[slot], lackey->scripts[slot]);
    return 0;
}

static int keep_environment(struct lackey *lackey, const char *payload, size_t len)
{
    if (len && payload[len - 1])
        return protocol_error("an environment without an end");
    prefork_end(&lackey->prefork);
    free(lackey->common);
    lackey->common = environment_with_shell(payload, len, lackey->setting.bash, &lackey->common_len);
    return lackey->common ? 0 : -1;
}

static int keep_events(struct lackey *lackey, const int *fds, size_t nfds)
{
    if (nfds != 1)
        return protocol_error("no file of events, or several,");
    oomkills_watch(&lackey->kills, fds[0]);
    return 0;
}

/* Whether a packet that starts a script has three descriptors, a slot, and an environment. */
static int may_start(const struct pass_header *header, const char *payload, size_t len, size_t nfds)
{
    return nfds == 3 && header->flags < PASS_SLOTS && (!len || !payload[len - 1]);
}

static int enqueue(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                   const int *fds, size_t nfds)
{
    if (!may_start(header, payload, len, nfds))
        return protocol_error("a task with bad descriptors, slot or environment");
    return queue_add(&lackey->queue, header, payload, len, fds);
}

static int start_shell(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                       const int *fds, size_t nfds)
{
    if (!may_start(header, payload, len, nfds))
        return protocol_error("a shell with bad descriptors, slot or environment");
    int result = shell_start(lackey, header, payload, len, fds);
    for (size_t i = 0; i < nfds; i++)
        close(fds[i]);
    return result;
}

static int stop(struct lackey *lackey, uint64_t task)
{
    char no_core[COREWATCH_PATH] = "";

    if (lackey->running && lackey->running->task == task) {
        lackey->done.flags |= PASS_STOPPED;
        return finish(lackey, no_core);
    }
    if (!queue_drop(&lackey->queue, task))
        return 0; /* it has ended, and DONE is queued */
    struct pass_done done = {.status = SIGKILL, .flags = PASS_STOPPED, .started_ns = now()};
    done.ended_ns = done.started_ns;
    return report(lackey, task, &done);
}

static int handle(struct lackey *lackey, const struct pass_header *header, const char *payload, size_t len,
                  const int *fds, size_t nfds)
{
    if (header->type == PASS_RUN)
        return enqueue(lackey, header, payload, len, fds, nfds);
    if (header->type == PASS_SHELL)
        return start_shell(lackey, header, payload, len, fds, nfds);
    if (header->type == PASS_EVENTS)
        return keep_events(lackey, fds, nfds);
    if (nfds)
        return protocol_error("descriptors where none belong");
    switch (header->type) {
    case PASS_SCRIPT:
        return keep_script(lackey, header->flags, payload, len);
    case PASS_ENV:
        return keep_environment(lackey, payload, len);
    case PASS_STOP:
        return stop(lackey, header->task);
    default:
        return protocol_error("an unknown packet");
    }
}

/* Handle one packet. Returns -1 with ENOTCONN when the agent is gone. */
static int take_packet(struct lackey *lackey)
{
    static char payload[PASS_MAX];
    struct pass_header header;
    int fds[PASS_MAX_FDS];
    size_t nfds = PASS_MAX_FDS;
    ssize_t len = pass_recv(lackey->sock, &header, payload, sizeof payload, fds, &nfds);

    return len < 0 ? -1 : handle(lackey, &header, payload, (size_t)len, fds, nfds);
}

static int says_more(const struct lackey *lackey)
{
    struct pollfd more = {.fd = lackey->sock, .events = POLLIN};

    return lackey->queue.count < LACKEY_QUEUE && poll(&more, 1, 0) > 0;
}

/* Handle all packets that have come: how many tasks wait is known before the next one starts. */
static int listen_to_agent(struct lackey *lackey)
{
    int result;

    do
        result = take_packet(lackey);
    while (result == 0 && says_more(lackey));
    return result;
}

/* ---- the loop ---- */

static int signalled(struct lackey *lackey)
{
    struct signalfd_siginfo signal;

    if (read(lackey->signals, &signal, sizeof signal) != sizeof signal)
        return -1;
    if (signal.ssi_signo != SIGCHLD) {
        errno = ENOTCONN; /* terminated: the same as an agent that is gone */
        return -1;
    }
    return children_ended(lackey);
}

static int serve_once(struct lackey *lackey)
{
    struct pollfd events[] = {{.fd = lackey->sock, .events = lackey->queue.count < LACKEY_QUEUE ? POLLIN : 0},
                              {.fd = lackey->signals, .events = POLLIN},
                              {.fd = lackey->watch.fd, .events = POLLIN},
                              {.fd = lackey->outpipes.of[0].reading, .events = POLLIN},
                              {.fd = lackey->outpipes.of[1].reading, .events = POLLIN}};

    if (poll(events, lackey->outpipes.open ? 5 : 3, -1) < 0)
        return errno == EINTR ? 0 : -1;
    for (int which = 0; which < 2; which++)
        if (events[3 + which].revents && printed(lackey, which) < 0)
            return -1;
    if (events[1].revents && signalled(lackey) < 0)
        return -1;
    if (events[2].revents && files_closed(lackey) < 0)
        return -1;
    if (events[0].revents && listen_to_agent(lackey) < 0)
        return -1;
    return start_next(lackey);
}

int lackey_serve(struct lackey *lackey)
{
    int status;

    queue_init(&lackey->queue);
    while (serve_once(lackey) == 0)
        ;
    int error = errno;
    prefork_end(&lackey->prefork);
    task_end(&lackey->setting, -1, &status, &lackey->usage, &lackey->prefork);
    outpipes_close(&lackey->outpipes);
    if (error == ENOTCONN || error == EPIPE || error == ECONNRESET)
        return 0;
    fprintf(stderr, "lackey: ended by an error: %s\n", strerror(error));
    return -1;
}

void lackey_forget(struct lackey *lackey)
{
    queue_clear(&lackey->queue);
    for (int slot = 0; slot < PASS_SLOTS; slot++) {
        free(lackey->scripts[slot]);
        lackey->scripts[slot] = NULL;
    }
    free(lackey->common);
    lackey->common = NULL;
    lackey->common_len = 0;
    free(lackey->running);
    lackey->running = NULL;
    oomkills_watch(&lackey->kills, -1);
    close(lackey->sock);
    lackey->sock = -1;
}
