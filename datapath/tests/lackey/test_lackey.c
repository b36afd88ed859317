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
#include "lackey/lackey.h"

static int agent;
static pid_t child;

/* The bash of the next lackey, and whether it is one whose ways are known. */
static const char *bash = "/bin/bash";
static int bash_is_known = 1;

static int serve(int sock)
{
    static struct lackey lackey;
    sigset_t wanted, refused;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    sigemptyset(&refused);
    sigaddset(&refused, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &refused, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    lackey.sock = sock;
    lackey.kills.events = -1;
    static const struct coreplace places[] = {{"/tmp/", ""}, {NULL, NULL}};
    lackey.places = places;
    lackey.watch.fd = -1;
    lackey.signals = signalfd(-1, &wanted, SFD_CLOEXEC);
    lackey.setting =
        (struct task_setting){.reach = TASK_DESCENDANTS, .bash = bash, .bash_is_five = bash_is_known, .directory = "/"};
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

/* Run a task that prints into pipes; `file` is its standard output, and its standard error if `both`. */
static void run_piped(const char *script, uint64_t task, int file, int both)
{
    struct pass_header header = {.type = PASS_RUN, .flags = PASS_SLOT_EXEC, .task = task};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fds[3] = {null, file, both ? file : null};

    say(PASS_SCRIPT, PASS_SLOT_EXEC | PASS_PIPED, 0, script, strlen(script));
    CHECK(pass_send(agent, &header, NULL, 0, fds, 3) == 0);
    close(null);
}

static int is_text(int file, const char *expected)
{
    char text[256];
    ssize_t got = pread(file, text, sizeof text, 0);

    return got == (ssize_t)strlen(expected) && memcmp(text, expected, (size_t)got) == 0;
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

static void run_with_path(const char *script, uint64_t task)
{
    say(PASS_ENV, 0, 0, "PATH=/usr/bin:/bin", 19);
    say(PASS_SCRIPT, PASS_SLOT_EXEC, 0, script, strlen(script));
    say(PASS_RUN, PASS_SLOT_EXEC, task, NULL, 0);
}

static void a_plain_script_runs_without_bash(void)
{
    bash = "/no/bash";
    begin();
    run_with_path("sh -c 'exit 7'", 1);
    CHECK(WEXITSTATUS(hear(1).status) == 7);
    run_with_path("sh -c 'exit 7';", 2);
    struct pass_done done = hear(2);
    CHECK(done.flags == PASS_SETUP && done.status == ENOENT);
    CHECK(end() == 0);
    bash = "/bin/bash";
}

static void a_plain_script_needs_bash_if_a_variable_may_or_its_ways_are_not_known(void)
{
    bash = "/no/bash";
    begin();
    run_with_path("sh -c 'exit 7'", 1);
    say(PASS_RUN, PASS_SLOT_EXEC, 2, "BASH_ENV=/x", 12);
    CHECK(hear(1).flags == 0 && hear(2).flags == PASS_SETUP);
    CHECK(end() == 0);
    bash_is_known = 0;
    begin();
    run_with_path("sh -c 'exit 7'", 1);
    CHECK(hear(1).flags == PASS_SETUP);
    CHECK(end() == 0);
    bash = "/bin/bash";
    bash_is_known = 1;
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

static void a_file_that_is_printed_into_through_a_pipe_loses_nothing(void)
{
    int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    begin();
    run_piped("echo a; echo b > /dev/stdout; (echo c >> /dev/stdout); echo d | tee /dev/stderr; echo e", 1, file, 0);
    struct pass_done done = hear(1);
    CHECK(done.flags == 0 && done.status == 0);
    CHECK(is_text(file, "a\nb\nc\nd\ne\n"));
    say(PASS_SCRIPT, PASS_SLOT_EXEC, 0, "true", 4);
    say(PASS_RUN, PASS_SLOT_EXEC, 2, NULL, 0);
    CHECK(hear(2).flags == 0);
    CHECK(end() == 0);
    close(file);
}

static void what_is_in_the_pipe_when_a_task_ends_arrives(void)
{
    int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    begin();
    run_piped("head -c 300000 /dev/zero & wait; sleep 1000 & exec >&-; printf err >&2", 1, file, 1);
    CHECK(hear(1).status == 0);
    CHECK(lseek(file, 0, SEEK_END) == 300003);
    run_piped("head -c 60000 /dev/zero; kill -9 $$", 2, file, 0);
    CHECK(WTERMSIG(hear(2).status) == SIGKILL);
    CHECK(lseek(file, 0, SEEK_END) == 360003);
    CHECK(end() == 0);
    close(file);
}

static void a_file_that_takes_no_more_ends_the_task_with_the_reason(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    begin();
    run_piped("yes; sleep 1000", 1, full, 0);
    struct pass_done done = hear(1);
    CHECK(done.flags == PASS_UNSAVED && done.status == ENOSPC);
    run_piped("echo at the end", 2, full, 0);
    done = hear(2);
    CHECK(done.flags == PASS_UNSAVED && done.status == ENOSPC);
    say(PASS_SCRIPT, PASS_SLOT_EXEC, 0, "true", 4);
    say(PASS_RUN, PASS_SLOT_EXEC, 3, NULL, 0);
    CHECK(hear(3).flags == 0);
    CHECK(end() == 0);
    close(full);
}

static void a_task_that_floods_its_pipe_stops_at_once(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    begin();
    run_piped("yes & exec yes >&2", 1, null, 1);
    say(PASS_STOP, 0, 1, NULL, 0);
    struct pass_done done = hear(1);
    CHECK(done.flags == PASS_STOPPED && WTERMSIG(done.status) == SIGKILL);
    run_piped("yes & exec yes >&2", 2, null, 1);
    CHECK(end() == 0);
    close(null);
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
    a_plain_script_runs_without_bash();
    a_plain_script_needs_bash_if_a_variable_may_or_its_ways_are_not_known();
    a_task_without_a_script_never_starts();
    stop_ends_what_runs_and_drops_what_waits();
    a_file_that_is_printed_into_through_a_pipe_loses_nothing();
    what_is_in_the_pipe_when_a_task_ends_arrives();
    a_file_that_takes_no_more_ends_the_task_with_the_reason();
    a_task_that_floods_its_pipe_stops_at_once();
    nonsense_from_the_agent_ends_the_lackey();
    return 0;
}
