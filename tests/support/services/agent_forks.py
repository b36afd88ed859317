"""The agent of a forked service as a fork, which is the service's own child.

`remora up` starts its agent as a Python of its own, whose imports take most of the processor time of a start: 0.9 s of
1.2 s. A service that is a fork itself has all of them. But it has threads and open files by the time when it needs an
agent, so it cannot fork. So a *spare* is forked before the service begins, and agents are forks of the spare:

- The service must be the agent's parent, which waits for it and finds it below itself. So the spare forks twice, and
  the process between ends at once. The kernel gives its child to the nearest subreaper, which the service is meanwhile.
- In the service `subprocess.Popen` is `AgentFork`, which asks the spare for agents and starts all else as ever. If the
  spare has ended, a test may have killed it, it starts agents as ever, too.
- The spare ends when its socket closes.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from scheduler.common import child
from tests.support.services.become import AGENT, Command, close_others, of_request, show

# The start of an agent's command line.
START = [*child.PYTHON, "-m", AGENT]
SET_CHILD_SUBREAPER = 36  # from linux/prctl.h
NUMBER = struct.Struct("i")
ADOPTED = b"."
MAX_FDS = 16


def offer() -> None:
    """Fork the spare, and let this process start agents by it."""
    AgentFork.spare, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        AgentFork.spare.close()
        serve(theirs).become()
    theirs.close()
    subprocess.Popen = AgentFork
    atexit.register(end, pid)


def end(spare: int) -> None:
    """End the spare, and wait for it: it must not be left to whatever process adopts it."""
    AgentFork.spare.close()
    os.waitpid(spare, 0)


def serve(control: socket.socket) -> Command:
    """Fork an agent for each request until the control socket closes. Returns in the agents alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: for the service
    show(["a spare of the fork server"])
    with open(os.devnull, "r+b", buffering=0) as nothing:
        for number in range(3):  # whoever reads what the service prints waits for the service's end alone
            os.dup2(nothing.fileno(), number)
    close_others({0, 1, 2, control.fileno()})
    while True:
        fds = socket.recv_fds(control, 1, MAX_FDS)[1]
        if not fds:
            os._exit(0)
        text, *given = fds
        between = os.fork()
        if between == 0:
            if pid := os.fork():
                control.send(NUMBER.pack(pid))
                os._exit(0)
            control.close()
            return of_request(text, given)
        os.waitpid(between, 0)
        control.send(ADOPTED)
        for fd in (text, *given):
            os.close(fd)


class AgentFork(subprocess.Popen[Any]):
    """An agent as a fork of the spare; any other command as a process of its own."""

    spare: ClassVar[socket.socket]

    def _execute_child(self, args: Any, program: Any, preexec: Any, close: Any, pass_fds: Any, cwd: Any, env: Any,
                       *more: Any) -> None:  # fmt: skip
        words, pipes, own_session = list(args), more[3:9], more[-2]
        if words[: len(START)] != START or not self._ask(words, pass_fds, cwd, env, pipes, own_session):
            super()._execute_child(args, program, preexec, close, pass_fds, cwd, env, *more)
        else:
            self._close_pipe_fds(*pipes)

    def _ask(self, words: list[str], pass_fds: Any, cwd: str, env: Any, pipes: Any, own_session: bool) -> bool:
        """Have the spare fork; False if it has ended."""
        streams = [number if fd < 0 else fd for number, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
        text = Command([AGENT, *words[len(START) :]], dict(env), cwd, own_session, (0, 1, 2, *pass_fds)).request()
        try:
            with subreaper():
                socket.send_fds(self.spare, [b"."], [text, *streams, *pass_fds])
                told = self.spare.recv(NUMBER.size)
                if not told or self.spare.recv(len(ADOPTED)) != ADOPTED:
                    return False
        except OSError:
            return False
        finally:
            os.close(text)
        (self.pid,) = NUMBER.unpack(told)
        self._child_created = True
        return True


@contextmanager
def subreaper() -> Iterator[None]:
    """Descendants whose parents end become this process's children for the length of a block."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
