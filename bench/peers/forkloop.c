/*
 * forkloop - run `bash -c SCRIPT` once for each file, one after another: the least that tasks can cost.
 *
 *     forkloop DIRECTORY SCRIPT FILE...
 *
 * Each run has the file as its stdin and a fresh nameless file in DIRECTORY as its stdout. Nothing is kept,
 * isolated, checked or recorded.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void become_task(const char *script, int in, int out)
{
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
        _exit(126);
    execlp("bash", "bash", "--norc", "-c", script, (char *)NULL);
    _exit(127);
}

static void run(const char *directory, const char *script, const char *file)
{
    int in = open(file, O_RDONLY | O_CLOEXEC);
    int out = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    pid_t child;
    int status;

    if (in < 0 || out < 0)
        die(in < 0 ? file : directory);
    child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        become_task(script, in, out);
    if (waitpid(child, &status, 0) < 0)
        die("waitpid");
    if (status != 0) {
        fprintf(stderr, "forkloop: %s: status %d\n", file, status);
        exit(1);
    }
    close(in);
    close(out);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: forkloop DIRECTORY SCRIPT FILE...\n", stderr);
        return 2;
    }
    for (int i = 3; i < argc; i++)
        run(argv[1], argv[2], argv[i]);
    return 0;
}
