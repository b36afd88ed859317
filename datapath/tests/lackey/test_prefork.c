/* What a lackey believes of a bash that waits for tasks, under the sanitizers: a child of this test plays the bash. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lackey/prefork.h"
#include "protocol/pass.h"

enum { OWN = -2 }; /* the number of the child that plays the bash */

static struct prefork prefork;

/* Let a child answer one RUN with this. */
static void answering(struct pass_header said)
{
    static char payload[PASS_MAX];
    char path[64];
    int pair[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    prefork = (struct prefork){.sock = pair[0], .children = open(path, O_RDONLY | O_CLOEXEC)};
    CHECK(prefork.children >= 0);
    prefork.pid = fork();
    CHECK(prefork.pid >= 0);
    if (prefork.pid == 0) {
        struct pass_header run;
        int fds[3];
        size_t nfds = 3;

        close(pair[0]);
        ssize_t len = pass_recv(pair[1], &run, payload, sizeof payload, fds, &nfds);
        if (len != 4 || memcmp(payload, "A=1", 4) != 0 || nfds != 3 || run.type != PASS_RUN)
            _exit(1);
        if (said.task == (uint64_t)OWN)
            said.task = (uint64_t)getpid();
        if (said.type)
            pass_send(pair[1], &said, NULL, 0, NULL, 0);
        else
            _exit(0);
        pause();
    }
    close(pair[1]);
}

static pid_t run(void)
{
    return prefork_run(&prefork, "A=1", 4, (const int[]){0, 1, 2});
}

static void a_child_of_ours_is_the_task(void)
{
    pid_t task = fork();

    CHECK(task >= 0);
    if (task == 0)
        _exit(7);
    answering((struct pass_header){.type = PASS_BEGUN, .task = (uint64_t)task});
    CHECK(run() == task);
    CHECK(!prefork_is_alone(&prefork));
    CHECK(waitpid(task, NULL, 0) == task);
    CHECK(prefork_is_alone(&prefork));
    prefork_end(&prefork);
    CHECK(prefork_pid(&prefork) == 0 && !prefork_is_alone(&prefork));
    CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
}

/* An answer that makes no sense; `other`: whether there is a child besides. */
static void refused(struct pass_header said, int other)
{
    pid_t child = other ? fork() : 0;

    if (other && child == 0)
        pause();
    answering(said);
    CHECK(run() == -1 && errno == (other ? EPROTO : EAGAIN));
    CHECK(prefork_pid(&prefork) == 0 && prefork.losses == 1);
    if (other)
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
}

static void what_is_no_child_is_no_task(void)
{
    for (int other = 0; other < 2; other++) {
        refused((struct pass_header){.type = PASS_BEGUN, .task = 1}, other);
        refused((struct pass_header){.type = PASS_BEGUN, .task = (uint64_t)getpid()}, other);
        refused((struct pass_header){.type = PASS_BEGUN, .task = (uint64_t)OWN}, other);
        refused((struct pass_header){.type = PASS_BEGUN, .task = (uint64_t)-1}, other);
        refused((struct pass_header){.type = PASS_BEGUN, .task = 1ULL << 40}, other);
        refused((struct pass_header){.type = PASS_BEGUN}, other);
        refused((struct pass_header){.type = PASS_DONE, .task = 1}, other);
        refused((struct pass_header){0}, other); /* it ends instead */
    }
}

static void a_fork_that_failed_can_be_tried_otherwise(void)
{
    answering((struct pass_header){.type = PASS_BEGUN, .flags = ENOMEM});
    CHECK(run() == -1 && errno == EAGAIN);
    CHECK(prefork_pid(&prefork) > 0);
    prefork_end(&prefork);
}

static void one_that_is_stopped_or_has_ended_starts_nothing(void)
{
    answering((struct pass_header){.type = PASS_BEGUN});
    kill(prefork_pid(&prefork), SIGSTOP);
    CHECK(run() == -1 && errno == EAGAIN); /* after a while */
    CHECK(prefork_pid(&prefork) == 0 && waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
    answering((struct pass_header){.type = PASS_BEGUN});
    kill(prefork_pid(&prefork), SIGKILL);
    CHECK(run() == -1 && errno == EAGAIN);
    CHECK(prefork_pid(&prefork) == 0);
}

static void one_that_has_ended_is_lost(void)
{
    answering((struct pass_header){.type = PASS_BEGUN});
    pid_t pid = prefork_pid(&prefork);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(!prefork_ended(&prefork, pid + 1) && prefork_ended(&prefork, pid));
    CHECK(prefork_pid(&prefork) == 0 && prefork.losses == 1);
    CHECK(!prefork_ended(NULL, pid) && !prefork_is_alone(NULL));
}

int main(void)
{
    a_child_of_ours_is_the_task();
    what_is_no_child_is_no_task();
    a_fork_that_failed_can_be_tried_otherwise();
    one_that_is_stopped_or_has_ended_starts_nothing();
    one_that_has_ended_is_lost();
    return 0;
}
