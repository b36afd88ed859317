/* The queue of tasks: its order, tasks that leave from any place in it, and their descriptors. */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "lackey/queue.h"

static struct queue queue;
static int latest[3]; /* descriptors of the task that was added last */

static void add(uint64_t task)
{
    struct pass_header header = {.type = PASS_RUN, .flags = 1, .task = task};

    for (int i = 0; i < 3; i++)
        latest[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(queue_add(&queue, &header, "A=1", 4, latest) == 0);
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Take the first task out, which must be this one. */
static void take(uint64_t task)
{
    struct queued *queued = queue_take(&queue);

    CHECK(queued && queued->task == task && queued->slot == 1);
    CHECK(queued->len == 4 && strcmp(queued->environment, "A=1") == 0);
    CHECK(is_open(queued->fds[0]) && is_open(queued->fds[2]));
    queued_close(queued);
    CHECK(!is_open(queued->fds[0]) && !is_open(queued->fds[2]));
    free(queued);
}

static void tasks_leave_in_the_order_in_which_they_came(void)
{
    add(1);
    add(2);
    take(1);
    add(3);
    take(2);
    take(3);
    CHECK(queue_take(&queue) == NULL);
    CHECK(queue.count == 0);
}

static void a_dropped_task_closes_its_descriptors_and_the_others_keep_their_order(void)
{
    for (uint64_t gone = 1; gone <= 3; gone++) {
        int fds[3];

        for (uint64_t task = 1; task <= 3; task++) {
            add(task);
            if (task == gone)
                memcpy(fds, latest, sizeof fds);
        }
        CHECK(queue_drop(&queue, gone));
        CHECK(!queue_drop(&queue, gone));
        CHECK(!is_open(fds[0]) && !is_open(fds[1]) && !is_open(fds[2]));
        add(4);
        CHECK(queue.count == 3);
        for (uint64_t task = 1; task <= 4; task++)
            if (task != gone)
                take(task);
    }
}

static void clearing_closes_all(void)
{
    add(1);
    int first = latest[0];
    add(2);
    queue_clear(&queue);
    CHECK(queue.count == 0 && !is_open(first) && !is_open(latest[2]));
    add(3);
    take(3);
}

int main(void)
{
    queue_init(&queue);
    tasks_leave_in_the_order_in_which_they_came();
    a_dropped_task_closes_its_descriptors_and_the_others_keep_their_order();
    clearing_closes_all();
    return 0;
}
