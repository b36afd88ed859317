/*
 * lackey - process 1 of an instance. See lackey.h for what it does and sandbox.h for where.
 */
#include "lackey/lackey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lackey/bash.h"
#include "lackey/inherit.h"
#include "lackey/lackey_options.h"
#include "protocol/agent_socket.h"
#include "sandbox/confine.h"
#include "sandbox/sandbox.h"

enum { PATIENCE_MS = 60 * 1000 };

/* Close all descriptors but the socket (0: there is none yet), and keep that from tasks. */
static void keep_only(int sock)
{
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd < 3)
        ; /* 0, 1, 2 are open from here on, so no other descriptor gets these numbers */
    if (fd < 0)
        lackey_die(1, "cannot open /dev/null: ", strerror(errno));
    if (!sock) {
        close_range(3, ~0U, 0);
        return;
    }
    close_range(3, (unsigned)sock - 1, 0);
    close_range((unsigned)sock + 1, ~0U, 0);
    if (fcntl(sock, F_SETFD, FD_CLOEXEC) < 0)
        lackey_die(2, "--socket is no open descriptor", "");
}

/* Isolate as far as requested and possible; fills READY. */
static void isolate(const struct lackey_options *options, struct pass_ready *ready)
{
    struct reason why = {"not asked for"};

    if (options->isolation != LACKEY_SUBREAPER) {
        /* In the monitor, this ends the whole instance; process 1 sets its own. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (sandbox_enter(&options->plan, &ready->pid, &why) == 0) {
            ready->namespaces = 1;
            return;
        }
        if (options->isolation == LACKEY_NAMESPACES)
            lackey_die(1, "no namespaces: ", why.text);
    }
    ready->pid = getpid();
    memcpy(ready->why, why.text, sizeof ready->why);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        lackey_die(1, "cannot become a subreaper: ", strerror(errno));
}

static int signals(int namespaces)
{
    sigset_t wanted, refused;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    if (!namespaces) /* inside, tasks could send it */
        sigaddset(&wanted, SIGTERM);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    sigemptyset(&refused);
    sigaddset(&refused, SIGXFSZ); /* a file that may not grow refuses what a task printed, and we say so */
    sigprocmask(SIG_BLOCK, &refused, NULL);
    return signalfd(-1, &wanted, SFD_CLOEXEC);
}

/* In memory: processes outside cannot reach files there. */
#define IN_MEMORY {"/dev/", NULL}

static const struct coreplace *places(const struct lackey_options *options, uint32_t namespaces)
{
    static const struct coreplace container[] = {IN_MEMORY, {"/", "root/"}, {NULL, NULL}};
    static const struct coreplace own_root[] = {
        IN_MEMORY, {"/assets/", "assets/"}, {"/var/tmp/", "var-tmp/"}, {"/", "root/"}, {NULL, NULL}};
    static struct coreplace shared[2] = {{NULL, ""}, {NULL, NULL}};
    static char work[PATH_MAX];

    if (options->connect)
        return container;
    if (namespaces)
        return own_root;
    snprintf(work, sizeof work, "%s/", options->plan.rootfs.work);
    shared[0].inside = work;
    return shared;
}

/* `shm`: the instance's directory for shared memory, or -1. */
static int say_ready(const struct lackey *lackey, const struct pass_ready *ready, int shm)
{
    struct pass_header header = {.type = PASS_READY};

    return pass_send(lackey->sock, &header, ready, sizeof *ready, &shm, shm < 0 ? 0 : 1);
}

/* An agent that is no root may not look into the instance: it is handed the directory, to see how full it is. */
static int say_ready_with_shm(const struct lackey *lackey, const struct pass_ready *ready)
{
    int shm = ready->namespaces ? open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int sent = say_ready(lackey, ready, shm);

    if (shm >= 0)
        close(shm);
    return sent;
}

/* Serve one agent after another: a container outlives its agent for a while, without tasks. */
static int serve_agents(struct lackey *lackey, const char *path, const struct pass_ready *ready)
{
    while ((lackey->sock = agent_connect(path, PATIENCE_MS)) >= 0) {
        if (say_ready(lackey, ready, -1) == 0 && lackey_serve(lackey) < 0)
            return 1;
        lackey_forget(lackey);
    }
    if (errno == ETIMEDOUT)
        return 0;
    lackey_die(1, "cannot connect to the agent: ", strerror(errno));
}

/* Apply all isolation, in the order that the kernel requires; fills READY. */
static void keep_in(const struct lackey_options *options, struct pass_ready *ready, struct landlock *files)
{
    struct reason why;

    if (sandbox_leave_keyring(&why) < 0)
        lackey_die(1, why.text, "");
    if (options->connect)
        *ready = (struct pass_ready){.namespaces = 1, .pid = getpid()};
    else
        isolate(options, ready);
    if (inherit_processes(options->plan.processes) < 0)
        lackey_die(1, "cannot limit processes: ", strerror(errno));
    int held = sandbox_drop((int)ready->namespaces, &why) < 0 ? -1 : sandbox_harden((int)ready->namespaces, &why);
    int confined = ready->namespaces || held < 0 ? CONFINE_NAMESPACES : confine(&options->plan.rootfs, files, &why);
    if (held < 0 || confined < 0)
        lackey_die(1, why.text, "");
    if (options->connect && !(held & PASS_HOLDS_CALLS))
        lackey_die(1, "this kernel filters no system calls", "");
    ready->holds = (uint32_t)(held | confined);
}

int main(int argc, char **argv)
{
    static struct lackey_options options;
    static struct lackey lackey;
    static struct landlock files;
    struct pass_ready ready = {0};
    char pattern[COREWATCH_PATTERN];

    lackey_options_take(&options, argc, argv);
    corewatch_pattern(pattern);
    keep_only(options.socket);
    if (inherit_clean(options.disk_bytes) < 0)
        lackey_die(1, "cannot set limits: ", strerror(errno));
    keep_in(&options, &ready, &files);

    const char *inside[] = {"/", "/tmp", "/var/tmp", "/root", "/assets", "/run", "/home", "/dev/shm", NULL};
    const char *outside[] = {confine_directory(options.plan.rootfs.work), NULL};
    lackey.sock = options.socket;
    lackey.kills.events = -1;
    lackey.places = places(&options, ready.namespaces);
    lackey.signals = signals((int)ready.namespaces);
    lackey.setting = (struct task_setting){.reach = ready.namespaces ? TASK_NAMESPACE : TASK_DESCENDANTS,
                                           .bash = bash_find(),
                                           .directory = ready.namespaces ? "/" : outside[0],
                                           .files = files.version ? &files : NULL};
    lackey.setting.bash_is_five = bash_is_five(lackey.setting.bash);
    if (lackey.signals < 0)
        lackey_die(1, "cannot watch tasks: ", strerror(errno));
    if (corewatch_open(&lackey.watch, ready.namespaces ? inside : outside, pattern, (int)ready.namespaces) < 0)
        fprintf(stderr, "lackey: core dumps of grandchildren will go unseen: %s\n", strerror(errno));
    if (options.connect)
        return serve_agents(&lackey, options.connect, &ready);
    if (say_ready_with_shm(&lackey, &ready) < 0)
        return 0; /* the agent has gone meanwhile */
    return lackey_serve(&lackey) == 0 ? 0 : 1;
}
