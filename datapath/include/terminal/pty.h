/*
 * pty - a program on a pseudo-terminal, which is its controlling terminal.
 *
 * The program leads a session and a process group of its own, so that the keys of a shell
 * (Ctrl-C, Ctrl-Z) reach what runs in the foreground. When the master is closed, the kernel
 * tells them by SIGHUP. A core dump would end the whole task, so there is none unless the
 * user asks for one (`ulimit -c`).
 */
#ifndef REMORA_PTY_H
#define REMORA_PTY_H

#include <sys/types.h>

#include "terminal/orders.h"

struct pty {
    int master; /* does not block */
    pid_t pid;
};

/*
 * pty_start - start the program of an order.
 *
 * Manta's client asks for `/usr/bin/ctrun OPTIONS PROGRAM`, which no Linux has: then the
 * program is what is started, and /bin/bash is the image's bash, wherever it is. It gets
 * this process's environment, with the order's TERM and a prompt. Returns 0, or -1 with
 * errno: no terminal, or no such program.
 */
int pty_start(struct pty *pty, const struct order *order);

/* pty_resize - tell the terminal its size; its foreground process group gets SIGWINCH. Returns 0, or -1 with errno. */
int pty_resize(const struct pty *pty, const struct order *order);

#endif
