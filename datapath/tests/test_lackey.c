/* The lackey's loop under the sanitizers: a subreaper in a child of this test, which plays the agent. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lackey.h"

static int agent;
static pid_t child;

static int serve(int sock)
{
    static struct lackey lackey;
    sigset_t wanted;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    lackey.sock = sock;
    lackey.events = -1;
    static const struct coreplace places[] = {{"/tmp/", ""}, {NULL, NULL}};
    lackey.places = places;
    lackey.watch.fd = -1;
    lackey.signals = signalfd(-1, &wanted, SFD_CLOEXEC);
    lackey.setting = (struct task_setting){.reach = TASK_DESCENDANTS, .bash = "/bin/bash", .directory = "/"};
    return lackey_serve(&lackey) == 0 ? 0 : 1;
}

static void begin(void)
{
    int pair[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(pair[0]);
        exit(serve(pair[1]));
    }
    close(pair[1]);
    agent = pair[0];
}

static int end(void)
{
    int status;

    close(agent);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void say(uint32_t type, uint32_t flags, uint64_t task, const char *payload, size_t len)
{
    struct pass_header header = {.type = type, .flags = flags, .task = task};
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(pass_send(agent, &header, payload, len, fds, type == PASS_RUN ? 3 : 0) == 0);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static struct pass_done hear(uint64_t task)
{
    struct pass_header header;
    struct pass_done done;
    size_t nfds = 0;
    int none;

    CHECK(pass_recv(agent, &header, &done, sizeof done, &none, &nfds) == sizeof done);
    CHECK(header.type == PASS_DONE && header.task == task);
    return done;
}

static void tasks_end_in_their_order_with_their_own_environment(void)
{
    begin();
    say(PASS_ENV, 0, 0, "A=1\0B=2", 8);
    say(PASS_SCRIPT, PASS_SLOT_EXEC, 0, "exit $((A + B + C))", 19);
    say(PASS_RUN, PASS_SLOT_EXEC, 1, "C=10", 5);
    say(PASS_RUN, PASS_SLOT_EXEC, 2, "C=20", 5);
    CHECK(WEXITSTATUS(hear(1).status) == 13);
    struct pass_done done = hear(2);
    CHECK(WEXITSTATUS(done.status) == 23 && done.ended_ns > done.started_ns && done.max_rss_kb > 0);
    CHECK(end() == 0);
}

static void a_task_without_a_script_never_starts(void)
{
    begin();
    say(PASS_RUN, PASS_SLOT_INIT, 1, NULL, 0);
    struct pass_done done = hear(1);
    CHECK(done.flags == PASS_SETUP && done.status == EINVAL);
    CHECK(end() == 0);
}

static void stop_ends_what_runs_and_drops_what_waits(void)
{
    begin();
    say(PASS_SCRIPT, PASS_SLOT_EXEC, 0, "sleep 1000 & sleep 1000", 23);
    say(PASS_RUN, PASS_SLOT_EXEC, 1, NULL, 0);
    say(PASS_RUN, PASS_SLOT_EXEC, 2, NULL, 0);
    say(PASS_RUN, PASS_SLOT_EXEC, 3, NULL, 0);
    say(PASS_STOP, 0, 2, NULL, 0);
    CHECK(hear(2).flags == PASS_STOPPED);
    say(PASS_STOP, 0, 1, NULL, 0);
    struct pass_done done = hear(1);
    CHECK(done.flags == PASS_STOPPED && WTERMSIG(done.status) == SIGKILL);
    say(PASS_STOP, 0, 3, NULL, 0);
    CHECK(hear(3).flags == PASS_STOPPED);
    CHECK(end() == 0);
}

static void nonsense_from_the_agent_ends_the_lackey(void)
{
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    begin();
    say(99, 0, 0, NULL, 0);
    CHECK(end() == 1);
    begin();
    say(PASS_ENV, 0, 0, "no end", 6);
    CHECK(end() == 1);
}

int main(void)
{
    tasks_end_in_their_order_with_their_own_environment();
    a_task_without_a_script_never_starts();
    stop_ends_what_runs_and_drops_what_waits();
    nonsense_from_the_agent_ends_the_lackey();
    return 0;
}
