/*
 * lackey - process 1 of an instance. See lackey.h for what it does and sandbox.h for where.
 */
#include "lackey/lackey.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lackey/bash.h"
#include "lackey/inherit.h"
#include "protocol/agent_socket.h"
#include "sandbox/confine.h"
#include "sandbox/hostview.h"
#include "sandbox/sandbox.h"

static const char usage[] =
    "usage: lackey --socket=FD --work=DIR [option]...\n"
    "       lackey --connect=PATH [--disk-bytes=N]\n"
    "\n"
    "Runs tasks, one after another, for the agent at the other end of a socket; ends with it.\n"
    "\n"
    "  --socket=FD          the connected SOCK_SEQPACKET socket: 3 or above, blocking\n"
    "  --work=DIR           the instance's directory: absolute, owned by the caller, fresh.\n"
    "                       `input` in it is seen as /manta, `assets` as /assets; `root`\n"
    "                       and `var-tmp` are made, and hold what tasks write elsewhere\n"
    "  --show-dir=DIR       directory of the host to be seen under its own name, besides those\n"
    "                       with programs, such as /usr and /etc (repeatable)\n"
    "  --hide=PATH          cover a file or directory that lies below one of those (repeatable)\n"
    "  --tools=DIR          directory to be seen as /.remora/bin\n"
    "  --show=NAME=PATH     file or directory to be seen as /.remora/NAME (repeatable)\n"
    "  --agent-socket=PATH  socket to be seen as /.remora/agent.sock\n"
    "  --uid=BASE           as root, with namespaces: users 0 ... 65535 of the instance are\n"
    "                       BASE ... outside\n"
    "  --users=FILE         not as root, with namespaces: a user namespace of the caller's that\n"
    "                       has users 0 ... 65535, 0 the caller; the instance has the same\n"
    "  --isolation=HOW      namespaces: that or nothing. subreaper: none, tasks run in `root`\n"
    "                       as the caller's user, without capabilities, and where the kernel\n"
    "                       has Landlock they open files only as listed here.\n"
    "                       auto (default): namespaces if the kernel lets us, else subreaper\n"
    "  --group=DIR          the instance's memory control group, to be seen below /sys/fs/cgroup\n"
    "  --processes=N        no user of the instance may have more than N processes, nor all\n"
    "                       users together unless root makes it\n"
    "  --disk-bytes=N       no file may grow beyond N bytes, core files included\n"
    "  --connect=PATH       be process 1 of a container that stands already, and connect to the\n"
    "                       agent at PATH; if the agent goes, end the tasks and wait a minute\n"
    "                       for the next one, who must rename its socket to PATH\n"
    "  --help               this text\n"
    "\n"
    "Close the socket to end the instance. With namespaces, killing this process does it too.\n";

enum { PATIENCE_MS = 60 * 1000 };
enum isolation { AUTO, NAMESPACES, SUBREAPER };

struct options {
    int socket;
    const char *connect; /* NULL: the socket is given */
    enum isolation isolation;
    unsigned long long disk_bytes; /* 0: no limit */
    struct sandbox_plan plan;
};

static _Noreturn void die(int status, const char *what, const char *detail)
{
    fprintf(stderr, "lackey: %s%s\n", what, detail);
    exit(status);
}

/* A whole number from `low` to `high`; exits otherwise. */
static unsigned long long number(const char *option, const char *text, unsigned long long low, unsigned long long high)
{
    char *end, message[128];

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && text[0] >= '0' && text[0] <= '9' && value >= low && value <= high)
        return value;
    snprintf(message, sizeof message, "--%s wants a number from %llu to %llu, not ", option, low, high);
    die(2, message, text);
}

/* The real path of an existing directory. */
static const char *directory(const char *option, const char *path)
{
    struct stat status;
    char message[64];
    char *real = path[0] == '/' ? realpath(path, NULL) : NULL;

    if (real && stat(real, &status) == 0 && S_ISDIR(status.st_mode))
        return real;
    snprintf(message, sizeof message, "--%s is not the absolute path of a directory: ", option);
    die(2, message, path);
}

static enum isolation isolation(const char *name)
{
    if (strcmp(name, "auto") == 0)
        return AUTO;
    if (strcmp(name, "namespaces") == 0)
        return NAMESPACES;
    if (strcmp(name, "subreaper") == 0)
        return SUBREAPER;
    die(2, "--isolation is one of auto, namespaces, subreaper, not ", name);
}

static void hide(struct rootfs_plan *plan, const char *path)
{
    if (plan->hidden == ROOTFS_MAX_HIDE)
        die(2, "too many --hide options at ", path);
    const char *real = path[0] == '/' ? realpath(path, NULL) : NULL;
    if (!real)
        die(2, "--hide names nothing that is there: ", path);
    plan->hide[plan->hidden++] = real;
}

static void add(struct rootfs_plan *plan, const char *path)
{
    const char *real = directory("show-dir", path);

    if (plan->added == ROOTFS_MAX_SHOW)
        die(2, "too many --show-dir options at ", path);
    if (!hostview_may_add(real))
        die(2, "--show-dir is a directory that instances have of their own: ", path);
    plan->also[plan->added++] = real;
}

/* NAME=PATH. */
static void show(struct rootfs_plan *plan, const char *value)
{
    char *name = strdup(value), *sign = name ? strchr(name, '=') : NULL;

    if (plan->shown == ROOTFS_MAX_SHOW)
        die(2, "too many --show options at ", value);
    if (!sign || sign == name || sign[1] != '/' || name[0] == '/')
        die(2, "--show wants NAME=PATH with an absolute path, not ", value);
    *sign = '\0';
    const char *source = realpath(sign + 1, NULL);
    if (!source)
        die(2, "--show names nothing that is there: ", sign + 1);
    plan->show[plan->shown++] = (struct rootfs_show){.name = name, .source = source};
}

static void set_option(struct options *options, int option, const char *value)
{
    struct rootfs_plan *rootfs = &options->plan.rootfs;

    switch (option) {
    case 's':
        options->socket = (int)number("socket", value, 3, 1 << 20);
        break;
    case 'c':
        options->connect = strdup(value);
        break;
    case 'w':
        rootfs->work = directory("work", value);
        break;
    case 'h':
        hide(rootfs, value);
        break;
    case 't':
        rootfs->tools = directory("tools", value);
        break;
    case 'S':
        show(rootfs, value);
        break;
    case 'A':
        add(rootfs, value);
        break;
    case 'g':
        rootfs->group = directory("group", value);
        break;
    case 'p':
        options->plan.processes = number("processes", value, 1, UINT32_MAX);
        break;
    case 'a':
        rootfs->agent_socket = strdup(value);
        break;
    case 'u':
        options->plan.uid_base = (uid_t)number("uid", value, 1, UINT32_MAX - SANDBOX_USERS);
        break;
    case 'U':
        options->plan.users = strdup(value);
        break;
    case 'i':
        options->isolation = isolation(value);
        break;
    case 'd':
        options->disk_bytes = number("disk-bytes", value, 1, INT64_MAX);
        break;
    case '?':
        die(2, "see --help", "");
    default:
        fputs(usage, stdout);
        exit(0);
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"socket", required_argument, NULL, 's'},
                                          {"connect", required_argument, NULL, 'c'},
                                          {"work", required_argument, NULL, 'w'},
                                          {"hide", required_argument, NULL, 'h'},
                                          {"show-dir", required_argument, NULL, 'A'},
                                          {"group", required_argument, NULL, 'g'},
                                          {"processes", required_argument, NULL, 'p'},
                                          {"tools", required_argument, NULL, 't'},
                                          {"show", required_argument, NULL, 'S'},
                                          {"agent-socket", required_argument, NULL, 'a'},
                                          {"uid", required_argument, NULL, 'u'},
                                          {"users", required_argument, NULL, 'U'},
                                          {"isolation", required_argument, NULL, 'i'},
                                          {"disk-bytes", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'H'},
                                          {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        set_option(options, option, optarg);
    if (optind < argc)
        die(2, "unexpected argument ", argv[optind]);
    if (!options->connect && (!options->socket || !options->plan.rootfs.work))
        die(2, "--socket and --work are needed; see --help", "");
}

/* Erase our command line, which tasks can read: its paths are internal. */
static void forget_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        memset(argv[i], 0, strlen(argv[i]));
}

/* Close all descriptors but the socket (0: there is none yet), and keep that from tasks. */
static void keep_only(int sock)
{
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd < 3)
        ; /* 0, 1, 2 are open from here on, so no other descriptor gets these numbers */
    if (fd < 0)
        die(1, "cannot open /dev/null: ", strerror(errno));
    if (!sock) {
        close_range(3, ~0U, 0);
        return;
    }
    close_range(3, (unsigned)sock - 1, 0);
    close_range((unsigned)sock + 1, ~0U, 0);
    if (fcntl(sock, F_SETFD, FD_CLOEXEC) < 0)
        die(2, "--socket is no open descriptor", "");
}

/* Isolate as far as requested and possible; fills READY. */
static void isolate(const struct options *options, struct pass_ready *ready)
{
    struct reason why = {"not asked for"};

    if (options->isolation != SUBREAPER) {
        /* In the monitor, this ends the whole instance; process 1 sets its own. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (sandbox_enter(&options->plan, &ready->pid, &why) == 0) {
            ready->namespaces = 1;
            return;
        }
        if (options->isolation == NAMESPACES)
            die(1, "no namespaces: ", why.text);
    }
    ready->pid = getpid();
    memcpy(ready->why, why.text, sizeof ready->why);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        die(1, "cannot become a subreaper: ", strerror(errno));
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

static const struct coreplace *places(const struct options *options, uint32_t namespaces)
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
    die(1, "cannot connect to the agent: ", strerror(errno));
}

/* Apply all isolation, in the order that the kernel requires; fills READY. */
static void keep_in(const struct options *options, struct pass_ready *ready, struct landlock *files)
{
    struct reason why;

    if (sandbox_leave_keyring(&why) < 0)
        die(1, why.text, "");
    if (options->connect)
        *ready = (struct pass_ready){.namespaces = 1, .pid = getpid()};
    else
        isolate(options, ready);
    if (inherit_processes(options->plan.processes) < 0)
        die(1, "cannot limit processes: ", strerror(errno));
    int held = sandbox_drop((int)ready->namespaces, &why) < 0 ? -1 : sandbox_harden((int)ready->namespaces, &why);
    int confined = ready->namespaces || held < 0 ? CONFINE_NAMESPACES : confine(&options->plan.rootfs, files, &why);
    if (held < 0 || confined < 0)
        die(1, why.text, "");
    if (options->connect && !(held & PASS_HOLDS_CALLS))
        die(1, "this kernel filters no system calls", "");
    ready->holds = (uint32_t)(held | confined);
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct lackey lackey;
    static struct landlock files;
    struct pass_ready ready = {0};
    char pattern[COREWATCH_PATTERN];

    parse(&options, argc, argv);
    forget_arguments(argc, argv);
    corewatch_pattern(pattern);
    keep_only(options.socket);
    if (inherit_clean(options.disk_bytes) < 0)
        die(1, "cannot set limits: ", strerror(errno));
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
        die(1, "cannot watch tasks: ", strerror(errno));
    if (corewatch_open(&lackey.watch, ready.namespaces ? inside : outside, pattern, (int)ready.namespaces) < 0)
        fprintf(stderr, "lackey: core dumps of grandchildren will go unseen: %s\n", strerror(errno));
    if (options.connect)
        return serve_agents(&lackey, options.connect, &ready);
    if (say_ready_with_shm(&lackey, &ready) < 0)
        return 0; /* the agent has gone meanwhile */
    return lackey_serve(&lackey) == 0 ? 0 : 1;
}
