/* Plain scripts: what starts without bash, and what is left to it. */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lackey/bash.h"
#include "lackey/plain.h"

enum { LEFT = 77 }; /* the status of a child whose program is left to bash */

static char base[] = "/tmp/plain.XXXXXX";

/* The text with the base directory in place of each `@`. */
static char *placed(const char *text)
{
    static char result[PATH_MAX];
    char *to = result;

    for (; *text; text++) {
        const char *piece = *text == '@' ? base : text;
        size_t len = *text == '@' ? strlen(base) : 1;

        memcpy(to, piece, len);
        to += len;
    }
    *to = '\0';
    return result;
}

static void make(const char *path, const char *text, mode_t mode)
{
    int fd = open(placed(path), O_CREAT | O_WRONLY | O_CLOEXEC, 0700);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
}

/* The exit status of a plain script, or LEFT. */
static int run(const char *script, const char *path)
{
    static struct plain plain;
    char *variables[1 + PLAIN_VARIABLES + 1] = {placed(path), NULL};
    int status;

    CHECK(plain_parse(&plain, script));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        plain_execute(plain.words, variables);
        CHECK(variables[0] && !variables[1]);
        _exit(LEFT);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_first_program_in_the_path_runs(void)
{
    CHECK(run("leave 3", "PATH=@/none:@/data:@/bin") == 3);
    CHECK(run("/bin/sh -c 'exit 4'", "PATH=") == 4);
    CHECK(run("bin/leave 5", "PATH=") == 5);
}

static void what_bash_would_not_simply_execute_is_left_to_it(void)
{
    CHECK(run("missing", "PATH=@/bin") == LEFT);
    CHECK(run("directory", "PATH=@/bin") == LEFT);
    CHECK(run("data", "PATH=@/bin") == LEFT);
    CHECK(run("shell", "PATH=@/bin") == LEFT);         /* no #! */
    CHECK(run("uninterpreted", "PATH=@/bin") == LEFT); /* #! names nothing */
    CHECK(run("leave 3", "PATH=:@/bin") == LEFT);
    CHECK(run("leave 3", "PATH=bin:@/bin") == LEFT);
    CHECK(run("leave 3", "PATH=@/bin/") == LEFT);
    CHECK(run("leave 3", "PATHS=@/bin") == LEFT);
}

static void a_name_that_is_too_long_is_left_to_bash(void)
{
    char script[PLAIN_BYTES], path[PATH_MAX] = "PATH=";

    memset(script, 'x', sizeof script);
    script[sizeof script - 1] = '\0';
    CHECK(run(script, "PATH=@/bin") == LEFT);
    script[0] = '/';
    CHECK(run(script, "PATH=@/bin") == LEFT);
    memset(path + 5, '/', sizeof path - 6);
    path[sizeof path - 2] = 'x';
    CHECK(run("leave 3", path) == LEFT);
}

static void only_a_bash_of_version_5_is_known(void)
{
    make("@/five", "\177ELF @(#)Bash version 5.9.1(1) release GNU", 0700);
    make("@/four", "\177ELF @(#)Bash version 4.4.20(1) release GNU", 0700);
    make("@/empty", "", 0700);
    CHECK(mkfifo(placed("@/fifo"), 0700) == 0);
    CHECK(bash_is_five(placed("@/five")));
    CHECK(!bash_is_five(placed("@/four")) && !bash_is_five(placed("@/empty")) && !bash_is_five(placed("@/fifo")));
    CHECK(!bash_is_five(base) && !bash_is_five(placed("@/none")));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

int main(void)
{
    CHECK(mkdtemp(base) != NULL && chdir(base) == 0);
    CHECK(mkdir(placed("@/bin"), 0700) == 0 && mkdir(placed("@/bin/directory"), 0700) == 0);
    make("@/data", "a file where PATH has a directory", 0700);
    make("@/bin/leave", "#!/bin/sh\nexit $1\n", 0700);
    make("@/bin/data", "#!/bin/sh\n", 0600);
    make("@/bin/shell", "exit 3\n", 0700);
    make("@/bin/uninterpreted", "#!/no/interpreter\n", 0700);
    the_first_program_in_the_path_runs();
    what_bash_would_not_simply_execute_is_left_to_it();
    a_name_that_is_too_long_is_left_to_bash();
    only_a_bash_of_version_5_is_known();
    CHECK(nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
