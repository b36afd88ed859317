/*
 * terminal - the task's end of an interactive session; see terminal/relay.h.
 *
 * It is the object that Manta's clients name as the command of such a job. It attaches to the
 * session of its job at the service, and serves it until it ends.
 *
 * A lackey starts it beside a running task, too, with the parameters of that session. Then it leaves
 * nothing behind: it adopts what its shell starts, and kills all of it in the end, also at SIGTERM.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lackey/task.h"
#include "terminal/dial.h"
#include "terminal/relay.h"

static const char USAGE[] = "usage: terminal\n"
                            "\n"
                            "The task's end of an interactive session (mlogin). Works inside of a task only, where\n"
                            "MANTA_URL, MANTA_USER and MANTA_JOB_ID name the session.\n"
                            "\n"
                            "Exit status: 0; 1 if the session could not be joined, or its connection was lost.\n";

static const char CONFIGURATION[] = "medusa-config-", JSON[] = ".json";
static const char UPGRADE[] = "Connection: upgrade\r\n"
                              "Upgrade: websocket\r\n"
                              "Sec-WebSocket-Key: cmVtb3JhIHRlcm1pbmFsIQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\n";

enum { PATH_ROOM = 4096, SWITCHED = 101 };

/*
 * The parameters of a session beside a task, which a lackey starts this program with; of a job's own there are none.
 * Tools see by it that they run in such a shell, too: see tool.h.
 */
static const char SESSION[] = "REMORA_SESSION";

static struct dial_reply reply;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "terminal: %s: %s\n", what, why);
    exit(1);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    if (!value || !*value)
        fail(name, "not set (this command works inside of tasks only)");
    return value;
}

/* A login in a path of a request: of its characters only % is special there. */
static void encode(const char *login, char *out, size_t room)
{
    size_t used = 0;

    for (; *login && used + 4 < room; login++)
        used += (size_t)snprintf(out + used, room - used, *login == '%' ? "%%25" : "%c", *login);
    out[used] = '\0';
}

static int is_configuration(const char *name)
{
    size_t len = strlen(name);

    return strncmp(name, CONFIGURATION, sizeof CONFIGURATION - 1) == 0 && len > sizeof JSON &&
           strcmp(name + len - (sizeof JSON - 1), JSON) == 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

/*
 * Remove the object that a client of Manta has made for this program: it holds a URL that was signed for
 * anyone, and the job's own credentials serve instead. It may be gone.
 */
static void remove_configuration(const char *url, const char *user, const char *login)
{
    char path[PATH_ROOM];
    struct dirent *entry;

    snprintf(path, sizeof path, "/assets/%s/stor", user);
    DIR *assets = opendir(path);
    while (assets && (entry = readdir(assets)))
        if (is_configuration(entry->d_name)) {
            int fd = dial(url);

            snprintf(path, sizeof path, "/%s/stor/%s", login, entry->d_name);
            if (fd >= 0) {
                dial_ask(fd, "DELETE", path, "Connection: close\r\n", &reply);
                close(fd);
            }
        }
    if (assets)
        closedir(assets);
}

/* Attach to the session of this job, or to that of these parameters. Returns the socket. */
static int attach(const char *url, const char *login, const char *session)
{
    char path[PATH_ROOM];
    int fd = dial(url);

    if (fd < 0)
        fail(url, strerror(errno));
    snprintf(path, sizeof path, "/%s/medusa/attach/%s/slave%s%s", login, variable("MANTA_JOB_ID"), session ? "?" : "",
             session ? session : "");
    if (dial_ask(fd, "GET", path, UPGRADE, &reply) < 0)
        fail("cannot attach to the session", errno == EPROTO ? "the service closed the connection" : strerror(errno));
    if (reply.status != SWITCHED) {
        fprintf(stderr, "terminal: cannot attach to the session (status %d): %.*s\n", reply.status,
                (int)(reply.have - reply.head), (const char *)reply.data + reply.head);
        exit(1);
    }
    return fd;
}

/* Become the parent of all that the shell starts and leaves. */
static void adopt_all(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        fail("cannot adopt processes", strerror(errno));
}

static void end_all(void)
{
    struct task_setting setting = {.reach = TASK_DESCENDANTS};
    struct task_usage usage = {0};
    int status;

    task_end(&setting, -1, &status, &usage, NULL);
}

int main(int argc, char **argv)
{
    char login[PATH_ROOM / 2];

    if (argc > 1) {
        fputs(USAGE, strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    const char *url = variable("MANTA_URL"), *user = variable("MANTA_USER");
    encode(user, login, sizeof login);
    const char *session = getenv(SESSION);
    if (session)
        adopt_all();
    else
        remove_configuration(url, user, login);
    int fd = attach(url, login, session);
    enum relay_result result = relay_run(fd, reply.data + reply.head, reply.have - reply.head);
    int problem = errno;
    if (session)
        end_all();
    errno = problem;
    switch (result) {
    case RELAY_CLOSED:
        return 0;
    case RELAY_LOST:
        fail("the connection to the service was lost", errno ? strerror(errno) : "it ended");
        break;
    case RELAY_BROKEN:
        fail("the session", "what came was no WebSocket");
        break;
    case RELAY_STOPPED:
        fail("the session", "ended by a signal");
    }
    return 1;
}
