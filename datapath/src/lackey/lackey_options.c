#include "lackey/lackey_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/hostview.h"

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

_Noreturn void lackey_die(int status, const char *what, const char *detail)
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
    lackey_die(2, message, text);
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
    lackey_die(2, message, path);
}

static enum lackey_isolation isolation(const char *name)
{
    if (strcmp(name, "auto") == 0)
        return LACKEY_AUTO;
    if (strcmp(name, "namespaces") == 0)
        return LACKEY_NAMESPACES;
    if (strcmp(name, "subreaper") == 0)
        return LACKEY_SUBREAPER;
    lackey_die(2, "--isolation is one of auto, namespaces, subreaper, not ", name);
}

static void hide(struct rootfs_plan *plan, const char *path)
{
    if (plan->hidden == ROOTFS_MAX_HIDE)
        lackey_die(2, "too many --hide options at ", path);
    const char *real = path[0] == '/' ? realpath(path, NULL) : NULL;
    if (!real)
        lackey_die(2, "--hide names nothing that is there: ", path);
    plan->hide[plan->hidden++] = real;
}

static void add(struct rootfs_plan *plan, const char *path)
{
    const char *real = directory("show-dir", path);

    if (plan->added == ROOTFS_MAX_SHOW)
        lackey_die(2, "too many --show-dir options at ", path);
    if (!hostview_may_add(real))
        lackey_die(2, "--show-dir is a directory that instances have of their own: ", path);
    plan->also[plan->added++] = real;
}

/* NAME=PATH. */
static void show(struct rootfs_plan *plan, const char *value)
{
    char *name = strdup(value), *sign = name ? strchr(name, '=') : NULL;

    if (plan->shown == ROOTFS_MAX_SHOW)
        lackey_die(2, "too many --show options at ", value);
    if (!sign || sign == name || sign[1] != '/' || name[0] == '/')
        lackey_die(2, "--show wants NAME=PATH with an absolute path, not ", value);
    *sign = '\0';
    const char *source = realpath(sign + 1, NULL);
    if (!source)
        lackey_die(2, "--show names nothing that is there: ", sign + 1);
    plan->show[plan->shown++] = (struct rootfs_show){.name = name, .source = source};
}

static void set_option(struct lackey_options *options, int option, const char *value)
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
        lackey_die(2, "see --help", "");
    default:
        fputs(usage, stdout);
        exit(0);
    }
}

static void parse(struct lackey_options *options, int argc, char **argv)
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
        lackey_die(2, "unexpected argument ", argv[optind]);
    if (!options->connect && (!options->socket || !options->plan.rootfs.work))
        lackey_die(2, "--socket and --work are needed; see --help", "");
}

static void forget_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        memset(argv[i], 0, strlen(argv[i]));
}

void lackey_options_take(struct lackey_options *options, int argc, char **argv)
{
    parse(options, argc, argv);
    forget_arguments(argc, argv);
}
